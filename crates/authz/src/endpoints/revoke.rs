//! The revocation endpoint (RFC 7009).

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};

use super::form::{self, Form};
use crate::clients::Client;
use crate::clients::authentication::authenticate;
use crate::error::OAuthError;
use crate::grants::presented::PresentedAccessToken;
use crate::grants::refresh_token::RefreshToken;
use crate::state::AppState;
use crate::store::{EndGrant, GrantEnd, StoreError};

/// Why a revocation is refused; a token that is not there is none of the reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RevocationError {
    #[error("the request has no token")]
    TokenMissing,
}

/// Revokes a token of the client that asks. The answer is the same for a token that is unknown, or
/// of somebody else (RFC 7009 §2.2), and the hint is not needed to find it.
pub(crate) async fn post(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, OAuthError> {
    let source = super::source(&request);
    let (head, body) = request.into_parts();
    let body = form::read_body(&head, body).await?;
    let form = Form::parse(&body)?;
    state.confirmed()?;
    let client = authenticate(&head.headers, &form, &state, source).await?;
    let token = form.find("token").ok_or(RevocationError::TokenMissing)?;
    match PresentedAccessToken::verify(&state, token) {
        Some(token) => revoke_access_token(&state, client.client(), &token).await?,
        None => revoke_refresh_token(&state, client.client(), token).await?,
    }
    let mut response = StatusCode::OK.into_response();
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    Ok(response)
}

/// Ends this one token; the grant and its refresh token live on (RFC 7009 §2.1 leaves it open).
async fn revoke_access_token(
    state: &AppState,
    client: &Client,
    token: &PresentedAccessToken,
) -> Result<(), StoreError> {
    if token.client_id() != client.id.as_str() {
        return Ok(());
    }
    let store = state.store();
    store
        .revoke_access_token(token.id().to_owned(), token.expires_at())
        .await?;
    tracing::info!(client.id = %client.id, outcome = "access_token_revoked");
    Ok(())
}

/// Ends the grant, and with it the access tokens that came from it (RFC 7009 §2.1).
async fn revoke_refresh_token(
    state: &AppState,
    client: &Client,
    token: &str,
) -> Result<(), StoreError> {
    let store = state.store();
    let hash = RefreshToken::new(token).hash();
    let Some(record) = store.find_refresh_token(hash).await? else {
        return Ok(());
    };
    let grant = &record.grant;
    if grant.client_id != client.id {
        return Ok(());
    }
    let now = state.clock().now();
    if store.end_grant(&grant.id, GrantEnd::Revoked, now).await? == EndGrant::Ended {
        tracing::info!(
            client.id = %client.id,
            grant.id = grant.id.as_str(),
            outcome = GrantEnd::Revoked.name(),
        );
    }
    Ok(())
}
