//! The token endpoint (OAuth 2.1 §3.2).

use axum::extract::{Request, State};
use axum::response::Response;

use super::form::{self, Form};
use crate::clients::authentication::authenticate;
use crate::error::OAuthError;
use crate::grants;
use crate::state::AppState;

/// Answers a token request. The order is: form, client, grant.
pub(crate) async fn post(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, OAuthError> {
    let source = super::source(&request);
    let (head, body) = request.into_parts();
    let body = form::read_body(&head, body).await?;
    let form = Form::parse(&body)?;
    // What is in memory counts only while the store can say that nothing changed.
    state.confirmed()?;
    let client = authenticate(&head.headers, &form, &state, source).await?;
    let response = grants::grant(&state, &client, &form).await?;
    Ok(super::private_json(response.to_json()?))
}
