//! What the authorization server and the resource server must agree on.
//!
//! This crate names no web framework beyond `http` types, no database, no template engine, no
//! OAuth engine and no MCP library. Nothing in it reads the clock, the random source, the network
//! or the environment except through the traits defined here.

pub mod audit;
pub mod client_address;
pub mod client_certificate;
pub mod clock;
pub mod config;
pub mod correlation;
pub mod distinguished_name;
pub mod entropy;
pub mod fetch;
pub mod issuer;
pub mod jwks;
pub mod jws;
pub mod metrics;
pub mod outbound;
pub mod redis;
pub mod resource_indicator;
pub mod scope;
pub mod secret;
pub mod strict_json;
pub mod telemetry;
pub mod token;
pub mod trace;
