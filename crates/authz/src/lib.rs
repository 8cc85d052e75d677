//! The authorization server of Portcullis, as a library.
//!
//! [`state::AppState::open`] opens the store, [`router::router`] answers requests, [`jobs::run`]
//! does what must happen between them. The crate never depends on the resource server: they meet
//! over HTTP only.

pub mod accounts;
pub mod clients;
mod endpoints;
mod error;
mod grants;
pub mod jobs;
pub mod keys;
mod limiter;
mod page_error;
mod pages;
pub mod router;
pub mod state;
pub mod store;
