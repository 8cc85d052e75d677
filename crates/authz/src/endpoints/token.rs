//! The token endpoint (OAuth 2.1 §3.2).

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::form::{self, Form};
use crate::clients::authentication::authenticate;
use crate::error::OAuthError;
use crate::grants::{self, GrantError, TokenResponse};
use crate::state::AppState;

/// Answers a token request. The order is: form, client, grant.
pub(crate) async fn post(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, OAuthError> {
    let (head, body) = request.into_parts();
    let body = form::read_body(&head, body).await?;
    let form = Form::parse(&body)?;
    // What is in memory counts only while the store can say that nothing changed.
    state.confirmed()?;
    let client = authenticate(&head.headers, &form, state.clients())?;
    let response = grants::grant(&state, &client, &form)?;
    Ok(render(&response)?)
}

fn render(response: &TokenResponse) -> Result<Response, GrantError> {
    let body = response.to_json()?;
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // OAuth 2.1 §3.2.3: no cache may keep a token.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
