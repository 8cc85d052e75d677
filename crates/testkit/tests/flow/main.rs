//! The whole product over real sockets: one process, one address, one SQLite file, and clients that
//! are not ours.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod client_certificates;
mod clients;
mod https;
mod keys;
mod people;
mod person;
mod product;
mod recorded;
mod stop;
mod traces;
