//! What tests share: the production routers on real stores, with a clock and a random source in the
//! hand of the test. Never part of the product.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "test code"
)]

pub mod answer;
pub mod audit;
pub mod authz;
pub mod browser;
pub mod clock;
pub mod database;
pub mod dns;
pub mod entropy;
pub mod fixture;
pub mod grants;
pub mod issuer;
pub mod logs;
pub mod network;
pub mod outage;
pub mod redis;
pub mod resource;
pub mod rows;
pub mod token;
pub mod web;
pub mod website;
