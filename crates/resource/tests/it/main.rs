//! The resource server, through its real services.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

mod bench;
mod documents;
mod legacy;
mod modern;
mod openapi;
mod pipeline;
mod rest;
mod tools;
