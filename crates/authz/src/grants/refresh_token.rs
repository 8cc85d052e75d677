//! Refresh tokens (OAuth 2.1 §4.3): every use rotates, one token of a family is live, and nobody is
//! logged out by a lost answer or by agents that refresh at the same moment.

use portcullis_common::audit::{Draft, Event};
use portcullis_common::clock::Timestamp;
use portcullis_common::config::GrantType;
use portcullis_common::scope::Scope;

use super::presented::PresentedAccessToken;
use super::sealed_answer::{self, SealedAnswer};
use super::{ExchangeError, GrantError, TokenResponse, issue, narrowing, requested};
use crate::clients::Client;
use crate::clients::authentication::AuthenticatedClient;
use crate::endpoints::form::Form;
use crate::state::AppState;
use crate::store::{
    EndGrant, GrantEnd, GrantRecord, NewRefreshToken, RefreshTokenRecord, RefreshTokenState,
    RotateRefreshToken, Rotation,
};

portcullis_common::secret! {
    /// A refresh token: 256 random bits.
    RefreshToken => RefreshTokenHash
}

/// How often a token is looked at: a rotation that was lost is seen by the second look.
const LOOKS: u32 = 2;

/// The end of a refresh token that is made now: unused for too long, or the end of its grant.
pub(super) fn expires_at(state: &AppState, grant: &GrantRecord, now: Timestamp) -> Timestamp {
    let idle = now.plus(state.config().authz.refresh_token_idle_ttl);
    idle.min(grant.expires_at)
}

/// What the request says, unverified.
struct Requested {
    token: RefreshToken,
    scope: Option<Scope>,
}

/// Answers a request with this grant. Parameters that are not ours are ignored: clients in the
/// field send some along.
pub(super) async fn grant(
    state: &AppState,
    client: &AuthenticatedClient,
    form: &Form<'_>,
    audit: &mut Draft,
) -> Result<TokenResponse, GrantError> {
    let client = client.client();
    if !client.allows_grant(GrantType::RefreshToken) {
        return Err(GrantError::GrantNotAllowed);
    }
    let token = form.find("refresh_token");
    let requested = Requested {
        token: RefreshToken::new(token.ok_or(ExchangeError::RefreshTokenMissing)?),
        scope: requested::scope(form)?,
    };
    let resource = requested::resource(form)?;
    let now = state.clock().now();
    for _ in 0..LOOKS {
        let found = state.store().find_refresh_token(requested.token.hash());
        let record = found.await?.ok_or(ExchangeError::RefreshTokenUnknown)?;
        if record.grant.client_id == client.id {
            record.grant.note(audit);
        }
        verify(client, &record, now)?;
        // RFC 8707 §2.2: left out, the audience of the grant stays.
        let named = resource.as_ref();
        if named.is_some_and(|resource| *resource != record.grant.resource) {
            return Err(ExchangeError::ResourceNotGranted.into());
        }
        let scope = narrowing::narrow(state, client, &record.grant, requested.scope.clone())?;
        let outcome = match &record.state {
            RefreshTokenState::Leaf => rotate(state, &requested, &record, &scope).await?,
            RefreshTokenState::Answered { answer, until }
                if until.is_none_or(|until| now < until) =>
            {
                Some(repeat(state, &requested, &record, answer, &scope).await?)
            }
            RefreshTokenState::Answered { .. } | RefreshTokenState::Spent => {
                audit.event(Event::TokenReuse);
                return Err(refuse_replay(state, &record, now).await?);
            }
        };
        if let Some(response) = outcome {
            log(client, &record.grant, &response.scope);
            return Ok(response);
        }
    }
    Err(ExchangeError::RefreshTokenLost.into())
}

/// Whether this client may use this token here and now.
fn verify(client: &Client, record: &RefreshTokenRecord, now: Timestamp) -> Result<(), GrantError> {
    // OAuth 2.1 §4.3: bound to the client. The owner's family is unharmed by a stranger.
    if client.id != record.grant.client_id {
        return Err(ExchangeError::RefreshTokenOfAnotherClient.into());
    }
    if !record.grant.is_live(now) {
        return Err(ExchangeError::GrantEnded.into());
    }
    if now >= record.expires_at {
        return Err(ExchangeError::RefreshTokenExpired.into());
    }
    Ok(())
}

/// Replaces the leaf; `None` if somebody else was faster.
async fn rotate(
    state: &AppState,
    requested: &Requested,
    record: &RefreshTokenRecord,
    scope: &Scope,
) -> Result<Option<TokenResponse>, GrantError> {
    let now = state.clock().now();
    let successor = RefreshToken::generate(state.entropy())?;
    let new = NewRefreshToken {
        hash: successor.hash(),
        expires_at: expires_at(state, &record.grant, now),
    };
    // OpenID Connect Core 1.0 §12.2: no nonce in the ID token of a refresh.
    let response = issue::for_user(state, &record.grant, scope, None)?;
    let response = response.with_refresh_token(Some(successor));
    let answer = sealed_answer::seal(
        &response,
        &requested.token,
        &record.grant.id,
        state.entropy(),
    )?;
    let grace = state.config().authz.refresh_grace.as_secs();
    let rotation = Rotation {
        token: record,
        successor: new,
        answer,
        now,
        grace: i64::try_from(grace).unwrap_or(i64::MAX / 2),
    };
    match state.store().rotate_refresh_token(rotation).await? {
        RotateRefreshToken::Rotated => Ok(Some(response)),
        RotateRefreshToken::Lost => Ok(None),
    }
}

/// Gives the answer of the rotation again: the same successor, and the same access token if it
/// lives and is what is asked for.
async fn repeat(
    state: &AppState,
    requested: &Requested,
    record: &RefreshTokenRecord,
    answer: &SealedAnswer,
    scope: &Scope,
) -> Result<TokenResponse, GrantError> {
    let now = state.clock().now();
    let kept = sealed_answer::open(answer, &requested.token, &record.grant.id, now)?;
    if kept.scope == *scope {
        let text = kept.access_token.expose();
        let token = PresentedAccessToken::verify(state, text);
        if let Some(token) = token
            && token.stands(state).await?
        {
            return Ok(kept);
        }
    }
    let fresh = issue::for_user(state, &record.grant, scope, None)?;
    Ok(fresh.with_refresh_token(kept.refresh_token))
}

/// RFC 9700 §4.14.2: a token that comes back after its successor was used is in two hands, and
/// nobody can tell whose; the whole family ends.
async fn refuse_replay(
    state: &AppState,
    record: &RefreshTokenRecord,
    now: Timestamp,
) -> Result<GrantError, GrantError> {
    let grant = &record.grant;
    let reason = GrantEnd::RefreshTokenReplayed;
    if state.store().end_grant(&grant.id, reason, now).await? == EndGrant::Ended {
        tracing::warn!(
            client.id = %grant.client_id,
            grant.id = grant.id.as_str(),
            outcome = reason.name(),
            "security event: a refresh token was replayed and its family ended"
        );
    }
    Ok(ExchangeError::RefreshTokenReplayed.into())
}

fn log(client: &Client, grant: &GrantRecord, scope: &Scope) {
    tracing::info!(
        client.id = %client.id,
        grant.r#type = GrantType::RefreshToken.name(),
        grant.id = grant.id.as_str(),
        resource = %grant.resource,
        scope = %scope,
        outcome = "issued",
        "token"
    );
}
