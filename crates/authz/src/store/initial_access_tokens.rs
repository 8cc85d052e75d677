//! Tokens that invite clients to register.

use portcullis_common::clock::Timestamp;

use super::engine::{End, read, transaction};
use super::{Store, StoreError};
use crate::clients::registration::InitialAccessTokenHash;

/// Takes one use, if there is one: `$1` is the token, `$2` now.
pub(super) const TAKE_USE: &str = "
    UPDATE initial_access_tokens
       SET uses_left = uses_left - 1
     WHERE token_hash = $1
       AND uses_left > 0
       AND expires_at > $2";

impl Store {
    /// Writes a new token.
    pub(crate) async fn insert_initial_access_token(
        &self,
        token: InitialAccessTokenHash,
        uses: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        transaction!(self, |connection| {
            sqlx::query(
                "INSERT INTO initial_access_tokens (token_hash, uses_left, created_at, expires_at)
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(token.to_hex())
            .bind(i64::from(uses))
            .bind(now.seconds())
            .bind(expires_at.seconds())
            .execute(&mut *connection)
            .await?;
            Ok(End::Keep(()))
        })
    }

    /// Whether a token has a use left just now. Only [`Store::insert_registration`] decides.
    pub(crate) async fn has_initial_access_token(
        &self,
        token: InitialAccessTokenHash,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT uses_left
                   FROM initial_access_tokens
                  WHERE token_hash = $1
                    AND uses_left > 0
                    AND expires_at > $2",
            )
            .bind(token.to_hex())
            .bind(now.seconds())
            .fetch_optional(connection)
            .await?)
        })?;
        Ok(found.is_some())
    }
}
