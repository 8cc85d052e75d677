//! The listener and everything that stands in front of the routes.

mod accept;
mod deadline;
mod front;
mod probe;
mod reader;

pub use accept::{Limits, serve};
pub(crate) use front::{Front, layer};
pub(crate) use probe::{Readiness, metrics_router, router as probe_router};
