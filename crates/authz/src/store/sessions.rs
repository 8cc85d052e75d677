//! Sessions of browsers.

use portcullis_common::clock::Timestamp;

use super::engine::{End, read, row, transaction};
use super::{Store, StoreError};
use crate::accounts::session::{SessionHash, SessionRecord};
use crate::accounts::{Account, AccountId, AccountState, PasswordHash, Role, Username};

/// A session that is to begin.
#[derive(Clone, Debug)]
pub(crate) struct NewSession {
    pub(crate) hash: SessionHash,
    /// Whose password was right.
    pub(crate) account_id: AccountId,
    /// The hash with which it was compared.
    pub(crate) verified: PasswordHash,
    /// The session that this browser had, which ends.
    pub(crate) replaces: Option<SessionHash>,
    pub(crate) now: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// The answer to a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenSession {
    /// It lives.
    Opened,
    /// The account was disabled or removed, or its password changed, while it was compared.
    Refused,
}

row! {
    struct SessionRow {
        account_id: String,
        username: String,
        email: Option<String>,
        email_verified: i64,
        role: String,
        created_at: i64,
        password_changed_at: i64,
        authenticated_at: i64,
        last_seen_at: i64,
        expires_at: i64,
    }
}

impl TryFrom<SessionRow> for SessionRecord {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let contradiction = |column| StoreError::Contradiction {
            table: "accounts",
            column,
            row: row.account_id.clone(),
        };
        Ok(Self {
            account: Account {
                username: Username::parse(&row.username).map_err(|_| contradiction("username"))?,
                role: Role::parse(&row.role).ok_or_else(|| contradiction("role"))?,
                id: AccountId::from_stored(row.account_id),
                email: row.email,
                email_verified: row.email_verified == 1,
                state: AccountState::Enabled,
                created_at: Timestamp::from_seconds(row.created_at),
                password_changed_at: Timestamp::from_seconds(row.password_changed_at),
            },
            authenticated_at: Timestamp::from_seconds(row.authenticated_at),
            last_seen_at: Timestamp::from_seconds(row.last_seen_at),
            expires_at: Timestamp::from_seconds(row.expires_at),
        })
    }
}

/// Changes nothing, but holds the account until the end of the transaction: whoever disables it
/// waits, and then ends the new session too.
const HOLD_ACCOUNT: &str = "
    UPDATE accounts
       SET password_hash = password_hash
     WHERE account_id = $1
       AND state = 'enabled'
       AND password_hash = $2";

const INSERT: &str = "
    INSERT INTO sessions (session_hash, account_id, authenticated_at, last_seen_at, expires_at)
    VALUES ($1, $2, $3, $3, $4)";

const SELECT: &str = "
    SELECT accounts.account_id, username, email, email_verified, role, created_at,
           password_changed_at, authenticated_at, last_seen_at, expires_at
      FROM sessions
      JOIN accounts ON accounts.account_id = sessions.account_id
     WHERE session_hash = $1
       AND accounts.state = 'enabled'";

impl Store {
    /// Begins a session, if the account is still as it was when the password was compared.
    pub(crate) async fn open_session(&self, new: NewSession) -> Result<OpenSession, StoreError> {
        transaction!(self, |connection| {
            let held = sqlx::query(HOLD_ACCOUNT)
                .bind(new.account_id.as_str())
                .bind(new.verified.as_str())
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if held == 0 {
                return Ok(End::Undo(OpenSession::Refused));
            }
            if let Some(old) = new.replaces {
                sqlx::query("DELETE FROM sessions WHERE session_hash = $1")
                    .bind(old.to_hex())
                    .execute(&mut *connection)
                    .await?;
            }
            sqlx::query(INSERT)
                .bind(new.hash.to_hex())
                .bind(new.account_id.as_str())
                .bind(new.now.seconds())
                .bind(new.expires_at.seconds())
                .execute(&mut *connection)
                .await?;
            Ok(End::Keep(OpenSession::Opened))
        })
    }

    /// Finds a session whose account may log in. Whether its time is over is for the caller to say.
    pub(crate) async fn find_session(
        &self,
        hash: SessionHash,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let row: Option<SessionRow> = read!(self, |connection| {
            Ok(sqlx::query_as(SELECT)
                .bind(hash.to_hex())
                .fetch_optional(connection)
                .await?)
        })?;
        row.map(SessionRecord::try_from).transpose()
    }

    /// Notes that a session is in use.
    pub(crate) async fn touch_session(
        &self,
        hash: SessionHash,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transaction!(self, |connection| {
            sqlx::query(
                "UPDATE sessions SET last_seen_at = $1
                  WHERE session_hash = $2 AND last_seen_at < $1",
            )
            .bind(now.seconds())
            .bind(hash.to_hex())
            .execute(&mut *connection)
            .await?;
            Ok(End::Keep(()))
        })
    }

    /// Ends a session.
    pub(crate) async fn end_session(&self, hash: SessionHash) -> Result<(), StoreError> {
        transaction!(self, |connection| {
            sqlx::query("DELETE FROM sessions WHERE session_hash = $1")
                .bind(hash.to_hex())
                .execute(&mut *connection)
                .await?;
            Ok(End::Keep(()))
        })
    }
}
