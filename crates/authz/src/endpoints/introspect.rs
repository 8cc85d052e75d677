//! The introspection endpoint (RFC 7662).

use axum::extract::{Request, State};
use axum::response::Response;
use portcullis_common::audit::Event;
use serde::Serialize;

use super::form::{self, Form};
use crate::clients::Client;
use crate::clients::authentication::authenticate;
use crate::error::OAuthError;
use crate::grants::presented::PresentedAccessToken;
use crate::state::AppState;
use crate::store::StoreError;

/// Why nothing is said about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IntrospectionError {
    #[error("the request has no token")]
    TokenMissing,
    #[error("the client is not bound to a resource whose tokens it may ask about")]
    NotAllowed,
}

/// RFC 7662 §2.2. An inactive token has no member beside `active`.
#[derive(Debug, Default, Serialize)]
struct Answer<'a> {
    active: bool,
    #[serde(flatten)]
    token: Option<ActiveToken<'a>>,
}

#[derive(Debug, Serialize)]
struct ActiveToken<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: &'a str,
    client_id: &'a str,
    scope: String,
    token_type: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
}

/// Says whether a token of the asker's resource is active, and what is in it.
pub(crate) async fn post(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, OAuthError> {
    let (head, body) = form::read(request).await?;
    let form = Form::parse(&body)?;
    state.confirmed()?;
    let client = authenticate(&head, &form, &state).await?;
    let client = client.client();
    // RFC 7662 §2.1: only for those who can prove that they may ask.
    if client.is_public() || client.introspect.is_empty() {
        let mut record = state.draft(Event::Introspection);
        record.client(client.id.as_str());
        record.of_request(&head.extensions).refuse("not_allowed");
        return Err(IntrospectionError::NotAllowed.into());
    }
    let text = form.find("token").ok_or(IntrospectionError::TokenMissing)?;
    let token = find_active(&state, client, text).await?;
    let answer = token.as_ref().map_or_else(Answer::default, |token| Answer {
        active: true,
        token: Some(ActiveToken {
            iss: state.config().authz.issuer.as_str(),
            sub: token.subject(),
            aud: token.audience(),
            exp: token.expires_at().seconds(),
            iat: token.issued_at().seconds(),
            jti: token.id(),
            client_id: token.client_id(),
            scope: token.scope().to_string(),
            token_type: "Bearer",
            roles: token.roles(),
            username: token.username(),
        }),
    });
    super::json(&answer)
}

/// The token, if it is active and for a resource of this client (RFC 7662 §4: nobody learns of the
/// tokens of others).
async fn find_active(
    state: &AppState,
    client: &Client,
    text: &str,
) -> Result<Option<PresentedAccessToken>, StoreError> {
    let token = PresentedAccessToken::verify(state, text).filter(|token| {
        let mut resources = client.introspect.iter();
        resources.any(|resource| resource.as_str() == token.audience())
    });
    match token {
        Some(token) if token.stands(state).await? => Ok(Some(token)),
        _ => Ok(None),
    }
}
