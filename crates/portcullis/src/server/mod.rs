//! The listener and everything that stands in front of the routes.

mod accept;
mod deadline;
mod front;
mod probe;

pub use accept::{Limits, serve};
pub use front::{Front, layer};
pub use probe::{Readiness, router as probe_router};
