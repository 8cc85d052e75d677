//! The guard: tokens, scopes and requests. It knows nothing of rmcp.

mod caller;
mod operation;

pub use caller::{Caller, Principal};
pub use operation::{Operation, OperationPolicy, Requirement};
