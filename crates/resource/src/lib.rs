//! The protected MCP resource server: a guard that protects any axum or rmcp service, and the
//! product's own server behind it.

mod drain;
pub mod guard;
pub mod mcp;
pub mod metadata;
pub mod openapi;
pub mod rest;
mod router;
mod state;

pub use router::{MCP_PATH, router};
pub use state::{NotReady, ResourceParts, ResourceState};
