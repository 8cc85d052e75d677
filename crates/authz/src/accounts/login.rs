//! Logging in with a password.

use portcullis_common::audit::{Actor, Draft, Event};
use portcullis_common::client_address::ClientAddress;
use portcullis_common::entropy::EntropyError;

use super::lockout::{Locked, Outcome, Pair};
use super::session::{SessionHash, SessionId};
use super::{AccountId, AccountState, Password, PasswordHash, PasswordPoolError, Username};
use crate::limiter::{LimiterAway, Refused};
use crate::state::AppState;
use crate::store::{NewSession, OpenSession, StoreError};

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("too many attempts for this account from this source")]
    Locked(Locked),
    /// Unknown, disabled and wrong are one answer; the log tells them apart.
    #[error("the name or the password is wrong")]
    Wrong,
    #[error(transparent)]
    LimiterAway(LimiterAway),
    #[error(transparent)]
    Pool(#[from] PasswordPoolError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// What a person entered, and where they sit.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) username: &'a str,
    pub(crate) password: &'a str,
    pub(crate) source: ClientAddress,
    /// The session that this browser has already; it ends.
    pub(crate) replaces: Option<SessionHash>,
}

/// Compares name and password and begins a session, always with a new id (OWASP: session fixation).
pub(crate) async fn log_in(
    state: &AppState,
    attempt: &Attempt<'_>,
    record: &mut Draft,
) -> Result<SessionId, LoginError> {
    let username = Username::parse(attempt.username.trim()).ok();
    let name = username.as_ref().map_or(attempt.username, Username::as_str);
    let pair = Pair::new(name, attempt.source);
    // Before the hashing, so that guesses in parallel do not overrun the budget.
    let turn = match state.logins().take(&pair, state.clock()).await {
        Ok(turn) => turn,
        Err(Refused::Limit(locked)) => {
            record.event(Event::LoginLocked);
            refuse(attempt, record, "locked");
            return Err(LoginError::Locked(locked));
        }
        Err(Refused::Away(away)) => return Err(LoginError::LimiterAway(away)),
    };
    let result = verify(state, attempt, username.as_ref(), record).await;
    let outcome = match &result {
        Ok(_) => Outcome::Right,
        Err(
            LoginError::LimiterAway(_)
            | LoginError::Pool(_)
            | LoginError::Store(_)
            | LoginError::Entropy(_),
        ) => Outcome::Unknown,
        Err(LoginError::Wrong | LoginError::Locked(_)) => Outcome::Wrong,
    };
    turn.settle(outcome).await;
    result
}

async fn verify(
    state: &AppState,
    attempt: &Attempt<'_>,
    username: Option<&Username>,
    record: &mut Draft,
) -> Result<SessionId, LoginError> {
    // Longer ones are refused before they cost anything, the same for every name.
    let Ok(password) = Password::parse(attempt.password) else {
        refuse(attempt, record, "password_out_of_bounds");
        return Err(LoginError::Wrong);
    };
    let found = match username {
        Some(username) => state.store().find_account(username).await?,
        None => None,
    };
    // An unknown name costs what a known one does.
    let hash = found.as_ref().map(|(_, hash)| hash);
    let is_right = state.passwords().verify(password, hash).await?;
    let Some((account, hash)) = found else {
        refuse(attempt, record, "unknown_account");
        return Err(LoginError::Wrong);
    };
    // The names of the store: what was entered may be a password.
    record
        .subject(account.id.as_str())
        .username(account.username.as_str());
    if !is_right || account.state == AccountState::Disabled {
        let outcome = if is_right {
            "disabled"
        } else {
            "wrong_password"
        };
        refuse(attempt, record, outcome);
        tracing::debug!(
            account.id = account.id.as_str(),
            "the account of the attempt"
        );
        return Err(LoginError::Wrong);
    }
    open_session(state, attempt, (account.id, hash), record).await
}

async fn open_session(
    state: &AppState,
    attempt: &Attempt<'_>,
    (account_id, verified): (AccountId, PasswordHash),
    record: &mut Draft,
) -> Result<SessionId, LoginError> {
    let id = SessionId::generate(state.entropy())?;
    let now = state.clock().now();
    let new = NewSession {
        hash: id.hash(),
        account_id: account_id.clone(),
        verified,
        replaces: attempt.replaces,
        now,
        expires_at: now.plus(state.config().authz.session_ttl),
    };
    if state.store().open_session(new).await? == OpenSession::Refused {
        refuse(attempt, record, "account_changed");
        return Err(LoginError::Wrong);
    }
    record.actor(Actor::Subject).succeed();
    tracing::info!(
        account.id = account_id.as_str(),
        client.address = %attempt.source.0,
        outcome = "logged in",
        "login"
    );
    Ok(id)
}

/// Without the name that was entered: people type passwords into the wrong field.
fn refuse(attempt: &Attempt<'_>, record: &mut Draft, outcome: &'static str) {
    record.refuse(outcome);
    tracing::info!(client.address = %attempt.source.0, outcome, "login");
}
