//! The listener and everything that stands in front of the routes.

mod accept;
mod client_authority;
mod deadline;
mod front;
mod own;
mod probe;
mod reader;
mod tls;

pub use accept::{Limits, serve};
pub(crate) use front::{Front, layer};
pub(crate) use own::OwnListener;
pub(crate) use probe::{Readiness, metrics_router, router as probe_router};
pub use tls::{Tls, TlsError};
