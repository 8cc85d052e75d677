//! The revocation endpoint (RFC 7009).

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use portcullis_common::audit::{Actor, Draft, Event};

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
    let (head, body) = form::read(request).await?;
    let form = Form::parse(&body)?;
    state.confirmed()?;
    let client = authenticate(&head, &form, &state).await?;
    let client = client.client();
    let token = form.find("token").ok_or(RevocationError::TokenMissing)?;
    let mut record = state.draft(Event::Revocation).of_request(&head.extensions);
    record.actor(Actor::Client).client(client.id.as_str());
    let is_revoked = match PresentedAccessToken::verify(&state, token) {
        Some(token) => revoke_access_token(&state, client, &token, &mut record).await?,
        None => revoke_refresh_token(&state, client, token, &mut record).await?,
    };
    match is_revoked {
        true => record.succeed(),
        false => record.refuse("unknown_token"),
    }
    let mut response = StatusCode::OK.into_response();
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    Ok(response)
}

/// Ends this one token, if it is the client's; the grant and its refresh token live on (RFC 7009 §2.1 leaves it open).
async fn revoke_access_token(
    state: &AppState,
    client: &Client,
    token: &PresentedAccessToken,
    record: &mut Draft,
) -> Result<bool, StoreError> {
    if token.client_id() != client.id.as_str() {
        return Ok(false);
    }
    record.subject(token.subject()).target("access_token");
    if let Some(grant) = token.grant_id() {
        record.grant(grant.as_str());
    }
    let store = state.store();
    store
        .revoke_access_token(token.id().to_owned(), token.expires_at())
        .await?;
    tracing::info!(client.id = %client.id, outcome = "access_token_revoked");
    Ok(true)
}

/// Ends the grant, if it is the client's and lives, and with it the access tokens that came from it (RFC 7009 §2.1).
async fn revoke_refresh_token(
    state: &AppState,
    client: &Client,
    token: &str,
    record: &mut Draft,
) -> Result<bool, StoreError> {
    let store = state.store();
    let hash = RefreshToken::new(token).hash();
    let Some(found) = store.find_refresh_token(hash).await? else {
        return Ok(false);
    };
    let grant = &found.grant;
    if grant.client_id != client.id {
        return Ok(false);
    }
    grant.note(record);
    record.target("refresh_token");
    let now = state.clock().now();
    if store.end_grant(&grant.id, GrantEnd::Revoked, now).await? == EndGrant::Ended {
        tracing::info!(
            client.id = %client.id,
            grant.id = grant.id.as_str(),
            outcome = GrantEnd::Revoked.name(),
        );
        return Ok(true);
    }
    Ok(false)
}
