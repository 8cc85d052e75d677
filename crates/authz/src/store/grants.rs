//! Grants: what a person allowed a client, and how that ends.

use portcullis_common::clock::Timestamp;
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::Scope;

use super::changes::{COUNT_CHANGE, Topic};
use super::engine::{End, read, row, transaction};
use super::{Store, StoreError};
use crate::accounts::{AccountId, AccountState, Role};
use crate::clients::ClientId;
use crate::grants::approval::GrantId;

/// Why a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantEnd {
    /// Its code was redeemed a second time.
    CodeReplayed,
    /// A refresh token came back after its successor was used.
    RefreshTokenReplayed,
    /// The client gave it back (RFC 7009).
    Revoked,
    /// The client was removed.
    ClientRemoved,
}

impl GrantEnd {
    /// The word in the store and in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CodeReplayed => "code_replayed",
            Self::RefreshTokenReplayed => "refresh_token_replayed",
            Self::Revoked => "revoked",
            Self::ClientRemoved => "client_removed",
        }
    }
}

/// The answer to the end of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndGrant {
    /// It ended now.
    Ended,
    /// It had ended before, or there is none.
    AlreadyEnded,
}

/// A grant as it stands, with the account behind it.
#[derive(Clone, Debug)]
pub(crate) struct GrantRecord {
    pub(crate) id: GrantId,
    pub(crate) client_id: ClientId,
    pub(crate) resource: ResourceIndicator,
    pub(crate) scope: Scope,
    pub(crate) auth_time: Timestamp,
    /// No refresh token outlives this.
    pub(crate) expires_at: Timestamp,
    /// Whether it has ended before its time, or came out of a backup.
    pub(crate) is_ended: bool,
    pub(crate) subject: Subject,
}

/// What tokens and answers say about the account behind a grant.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) account_id: AccountId,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    pub(crate) is_email_verified: bool,
    pub(crate) role: Role,
    pub(crate) is_enabled: bool,
}

impl GrantRecord {
    /// Whether anything may still come of it.
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        !self.is_ended && self.subject.is_enabled && now < self.expires_at
    }
}

row! {
    /// The columns of [`grant_columns`].
    pub(super) struct GrantRow {
        grant_id: String,
        client_id: String,
        resource: String,
        scope: String,
        auth_time: i64,
        grant_expires_at: i64,
        ended_at: Option<i64>,
        is_of_this_era: i64,
        account_id: String,
        username: String,
        email: Option<String>,
        email_verified: i64,
        role: String,
        state: String,
    }
}

/// The columns of a grant `g` and its account `a`.
macro_rules! grant_columns {
    () => {
        "g.grant_id, g.client_id, g.resource, g.scope, g.auth_time,
         g.expires_at AS grant_expires_at, g.ended_at,
         (SELECT COUNT(*) WHERE g.era = (SELECT COALESCE(MAX(era), 0) FROM restores))
             AS is_of_this_era,
         a.account_id, a.username, a.email, a.email_verified, a.role, a.state"
    };
}

/// Whether the grant `g` of the account `a` still stands, all that is relied on repeated:
/// `$1` is now, `$2` the grant, `$3` the client, `$4` the resource, `$5` the scope.
macro_rules! grant_still_stands {
    () => {
        "EXISTS (SELECT 1
                   FROM grants g
                   JOIN accounts a ON a.account_id = g.account_id
                  WHERE g.grant_id = $2
                    AND g.client_id = $3
                    AND g.resource = $4
                    AND g.scope = $5
                    AND g.ended_at IS NULL
                    AND g.expires_at > $1
                    AND g.era = (SELECT COALESCE(MAX(era), 0) FROM restores)
                    AND a.state = 'enabled')"
    };
}

/// Binds what [`grant_still_stands`] relies on; a statement binds it first.
macro_rules! bind_grant {
    ($query:expr, $now:expr, $grant:expr) => {
        $query
            .bind($now.seconds())
            .bind($grant.id.as_str())
            .bind($grant.client_id.as_str())
            .bind($grant.resource.as_str())
            .bind($grant.scope.to_string())
    };
}

pub(super) use {bind_grant, grant_columns, grant_still_stands};

impl TryFrom<GrantRow> for GrantRecord {
    type Error = StoreError;

    fn try_from(row: GrantRow) -> Result<Self, StoreError> {
        let contradiction = |column| StoreError::Contradiction {
            table: "grants",
            column,
            row: row.grant_id.clone(),
        };
        Ok(Self {
            client_id: ClientId::from_stored(&row.client_id)
                .map_err(|_| contradiction("client_id"))?,
            resource: ResourceIndicator::parse(&row.resource)
                .map_err(|_| contradiction("resource"))?,
            scope: row.scope.parse().map_err(|_| contradiction("scope"))?,
            auth_time: Timestamp::from_seconds(row.auth_time),
            expires_at: Timestamp::from_seconds(row.grant_expires_at),
            is_ended: row.ended_at.is_some() || row.is_of_this_era == 0,
            subject: Subject {
                account_id: AccountId::from_stored(row.account_id),
                username: row.username,
                email: row.email,
                is_email_verified: row.email_verified != 0,
                role: Role::parse(&row.role).ok_or_else(|| contradiction("role"))?,
                is_enabled: row.state == AccountState::Enabled.name(),
            },
            id: GrantId::from_stored(row.grant_id),
        })
    }
}

const END_GRANT: &str = "
    UPDATE grants
       SET ended_at = $1, end_reason = $2
     WHERE grant_id = $3
       AND ended_at IS NULL";

/// Ends what a client was allowed by anybody.
pub(super) const END_GRANTS_OF_CLIENT: &str = "
    UPDATE grants
       SET ended_at = $1, end_reason = $2
     WHERE client_id = $3
       AND ended_at IS NULL";

/// What an ended family leaves behind gives nobody anything.
const ERASE_ANSWERS: &str = "
    UPDATE refresh_tokens
       SET sealed_answer = NULL
     WHERE grant_id = $1
       AND sealed_answer IS NOT NULL";

impl Store {
    /// Finds a grant with its account.
    pub(crate) async fn find_grant(&self, id: &GrantId) -> Result<Option<GrantRecord>, StoreError> {
        let id = id.as_str().to_owned();
        let row: Option<GrantRow> = read!(self, |connection| {
            Ok(sqlx::query_as(concat!(
                "SELECT ",
                grant_columns!(),
                " FROM grants g
                  JOIN accounts a ON a.account_id = g.account_id
                 WHERE g.grant_id = $1"
            ))
            .bind(id)
            .fetch_optional(connection)
            .await?)
        })?;
        row.map(GrantRecord::try_from).transpose()
    }

    /// Ends a grant and with it every token that came from it.
    pub(crate) async fn end_grant(
        &self,
        id: &GrantId,
        reason: GrantEnd,
        now: Timestamp,
    ) -> Result<EndGrant, StoreError> {
        let id = id.as_str().to_owned();
        transaction!(self, |connection| {
            let ended = sqlx::query(END_GRANT)
                .bind(now.seconds())
                .bind(reason.name())
                .bind(id.as_str())
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if ended == 0 {
                return Ok(End::Undo(EndGrant::AlreadyEnded));
            }
            sqlx::query(ERASE_ANSWERS)
                .bind(id)
                .execute(&mut *connection)
                .await?;
            sqlx::query(COUNT_CHANGE)
                .bind(Topic::Grants.name())
                .execute(&mut *connection)
                .await?;
            Ok(End::Keep(EndGrant::Ended))
        })
    }
}
