//! The token endpoint (OAuth 2.1 §3.2).

use axum::extract::{Request, State};
use axum::response::Response;
use portcullis_common::audit::Event;

use super::form::{self, Form};
use crate::clients::authentication::authenticate;
use crate::error::OAuthError;
use crate::grants;
use crate::state::AppState;

/// Answers a token request. The order is: form, whether it could be recorded, client, grant.
pub(crate) async fn post(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, OAuthError> {
    let (head, body) = form::read(request).await?;
    let form = Form::parse(&body)?;
    // What is in memory counts only while the store can say that nothing changed.
    state.confirmed()?;
    state.recordable()?;
    let client = authenticate(&head, &form, &state).await?;
    let mut record = state.draft(Event::Token).of_request(&head.extensions);
    let result = grants::grant(&state, &client, &form, &mut record).await;
    let response = result.map_err(|error| OAuthError::from(error).noted_in(&mut record))?;
    Ok(super::private_json(response.to_json()?))
}
