//! The resource server, through its real services.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

mod audit;
mod bench;
mod bodies;
mod challenges;
mod documents;
mod jwt;
mod keys;
mod leaks;
mod legacy;
mod metadata;
mod modern;
mod openapi;
mod pipeline;
mod replicas;
mod rest;
mod sessions;
mod sockets;
mod streams;
mod tools;
mod traces;
mod transport;
mod verdict;
