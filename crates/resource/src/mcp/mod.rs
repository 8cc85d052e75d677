//! The product's own MCP server: a registry of tools, and the one place that names rmcp.
//!
//! The registry knows nothing of the protocol; `server` translates between the two. Everything
//! here runs behind the guard and may assume that a [`Caller`](crate::guard::Caller) stands in the
//! request extensions and that the scopes of the operation were checked. It never answers 401 or
//! 403 and never sees the token.

mod documents;
mod guide;
mod registry;
mod schema;
mod server;
mod session_store;
mod sessions;
mod shared;
mod tool;
pub mod tools;

pub use registry::{CallOutcome, Registry, RegistryError, RegistryOptions};
pub use server::{McpEndpoint, McpOptions, McpServer, endpoint, service};
pub use sessions::{BoundedSessions, SessionLimits};
pub use shared::SharedEndpoint;
pub use tool::{Effect, RegisteredTool, Tool, ToolCard, ToolError};
