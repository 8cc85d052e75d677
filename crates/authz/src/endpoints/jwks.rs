//! The published keys (RFC 7517 §5).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::keys::JWKS_MAX_AGE;
use crate::state::AppState;

/// Answers with the set as it is in memory.
pub(crate) async fn get(State(state): State<AppState>) -> Response {
    let mut response = state.keys().current().jwks.clone().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Never longer than a retired key stays published, or a verifier would miss a new one.
    let max_age = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
    if let Ok(value) = HeaderValue::from_str(&max_age) {
        headers.insert(CACHE_CONTROL, value);
    }
    response
}
