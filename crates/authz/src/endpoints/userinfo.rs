//! What a token says about its person (OpenID Connect Core 1.0 §5.3).

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Serialize;

use crate::error::OAuthError;
use crate::grants::IdentityClaims;
use crate::grants::presented::PresentedAccessToken;
use crate::state::AppState;

/// Why nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserinfoError {
    #[error("the request has no bearer token")]
    NoToken,
    #[error("the token is not an active one of this server")]
    Inactive,
    #[error("the token has no scope openid")]
    ScopeMissing,
}

#[derive(Debug, Serialize)]
struct Userinfo<'a> {
    sub: &'a str,
    #[serde(flatten)]
    identity: IdentityClaims<'a>,
}

/// Answers with what the scopes of the token show of the account as it is now. The audience plays
/// no part: the token was issued here.
pub(crate) async fn answer(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<Response, OAuthError> {
    let text = find_bearer(&headers).ok_or(UserinfoError::NoToken)?;
    state.confirmed()?;
    let token = PresentedAccessToken::verify(&state, text).ok_or(UserinfoError::Inactive)?;
    if !token.stands(&state).await? {
        return Err(UserinfoError::Inactive.into());
    }
    // A client's own token has no grant, and nobody to tell of.
    let grant_id = token
        .grant_id()
        .filter(|_| token.scope().contains("openid"))
        .ok_or(UserinfoError::ScopeMissing)?;
    let grant = state.store().find_grant(grant_id).await?;
    let grant = grant.ok_or(UserinfoError::Inactive)?;
    let userinfo = Userinfo {
        sub: token.subject(),
        identity: IdentityClaims::of(&grant, token.scope()),
    };
    super::json(&userinfo)
}

/// The one bearer token of the `Authorization` header (RFC 6750 §2.1).
fn find_bearer(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = lines.next()?.to_str().ok()?;
    if lines.next().is_some() {
        return None;
    }
    let (scheme, token) = line.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
