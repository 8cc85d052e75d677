//! The authorization endpoint (OAuth 2.1 §3.1), as far as it exists: it answers every request with
//! a page that says so, and sends nobody anywhere.
//!
//! It is named in the metadata although no grant that uses it is offered, because clients in the
//! field refuse metadata without `authorization_endpoint`, even for client credentials.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

const PAGE: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <title>No login here</title>\n<h1>No login here</h1>\n\
    <p>This authorization server gives tokens to programs that have an account of their own \
    (client credentials). It does not offer a login for people.</p>\n</html>\n";

/// Refuses, whatever is asked for.
pub(crate) async fn refuse() -> Response {
    let mut response = (StatusCode::BAD_REQUEST, PAGE).into_response();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}
