//! HTTP in and out: one module for each endpoint, its handlers named after the verb.

pub(crate) mod authorize;
pub(crate) mod consent;
pub(crate) mod form;
pub(crate) mod human;
pub(crate) mod introspect;
pub(crate) mod jwks;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod metadata;
pub(crate) mod register;
pub(crate) mod revoke;
pub(crate) mod token;
pub(crate) mod userinfo;

use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Extensions, HeaderValue};
use portcullis_common::client_address::ClientAddress;

/// Where the peer sits; the front of the process says it, and without a front nobody knows.
pub(crate) fn source(extensions: &Extensions) -> ClientAddress {
    let known = extensions.get::<ClientAddress>().copied();
    known.unwrap_or(ClientAddress(std::net::Ipv4Addr::UNSPECIFIED.into()))
}

/// JSON that no cache may keep (OAuth 2.1 §3.2.3).
fn json(body: &impl serde::Serialize) -> Result<Response, crate::error::OAuthError> {
    let body = serde_json::to_vec(body)?;
    Ok(private_json(body))
}

/// The same for a body that is printed already.
fn private_json(body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
