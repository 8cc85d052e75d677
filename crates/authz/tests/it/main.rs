//! The authorization server from outside: one module for each specification it obeys, and for what
//! its store promises.
#![expect(clippy::unwrap_used, reason = "test code")]

mod store;
