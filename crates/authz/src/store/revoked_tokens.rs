//! Access tokens that ended before their time.

use portcullis_common::clock::Timestamp;

use super::engine::{End, read, transaction};
use super::{Store, StoreError};
use crate::grants::approval::GrantId;

impl Store {
    /// Remembers that an access token is revoked, until it would have ended anyway.
    pub(crate) async fn revoke_access_token(
        &self,
        jti: String,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        transaction!(self, |connection| {
            sqlx::query(
                "INSERT INTO revoked_tokens (jti, expires_at)
                 VALUES ($1, $2)
                 ON CONFLICT DO NOTHING",
            )
            .bind(jti)
            .bind(expires_at.seconds())
            .execute(&mut *connection)
            .await?;
            Ok(End::Keep(()))
        })
    }

    /// Whether an access token still stands: not revoked itself, and the grant it came from, if it
    /// came from one, neither ended nor out of a backup nor of a disabled account.
    pub(crate) async fn access_token_stands(
        &self,
        jti: &str,
        grant: Option<&GrantId>,
    ) -> Result<bool, StoreError> {
        let jti = jti.to_owned();
        let is_from_grant = grant.is_some();
        let grant = grant.map(|grant| grant.as_str().to_owned());
        let (revoked, standing): (i64, i64) = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT (SELECT COUNT(*)
                           FROM revoked_tokens
                          WHERE jti = $1) AS revoked,
                        (SELECT COUNT(*)
                           FROM grants g
                           JOIN accounts a ON a.account_id = g.account_id
                          WHERE g.grant_id = $2
                            AND g.ended_at IS NULL
                            AND g.era = (SELECT COALESCE(MAX(era), 0) FROM restores)
                            AND a.state = 'enabled') AS standing",
            )
            .bind(jti)
            .bind(grant)
            .fetch_one(connection)
            .await?)
        })?;
        Ok(revoked == 0 && (standing == 1 || !is_from_grant))
    }
}
