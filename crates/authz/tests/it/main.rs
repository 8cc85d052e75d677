//! The authorization server from outside: one module for each specification it obeys, and for what
//! its store promises.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod access_tokens;
mod audit;
mod authorize;
mod backup;
mod client_secrets;
mod clients;
mod code_exchange;
mod consent;
mod copy;
mod cross_origin;
mod foreign_clients;
mod grant_outages;
mod introspection;
mod keys;
mod logs;
mod metadata;
mod metadata_documents;
mod outages;
mod people;
mod redis;
mod refresh;
mod refresh_family;
mod registration;
mod registration_clients;
mod registration_management;
mod registration_people;
mod resource_indicators;
mod restore;
mod revocation;
mod scopes;
mod step_outages;
mod store;
mod token_endpoint;
mod upgrade;
mod userinfo;
mod verify;
