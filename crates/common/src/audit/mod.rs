//! The audit trail: who did what, when, from where and with which result; one JSON object per line.
//!
//! [`AuditTrail`] is handed in. Whatever is worth a record begins a [`Draft`], which knows more and
//! more of what happens and becomes a record when it is dropped, so that there is exactly one. A
//! thread of its own prints and writes them in groups: nobody waits for a record, and a bounded
//! queue lies between.
//!
//! A record holds no token, no code, no secret and nothing that a stranger entered as a name. What it
//! does take from outside is cut here and escaped in the line.

mod draft;
mod line;
mod record;
mod sink;
#[cfg(test)]
mod tests;
mod trail;
mod writer;

pub use draft::Draft;
pub use record::{Actor, AuditRecord, Event, Outcome};
pub use sink::AuditSink;
pub use trail::{AuditError, AuditOptions, AuditTrail, AuditUnavailable};
