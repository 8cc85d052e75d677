//! Refresh tokens: families in which one token at a time is live.

use portcullis_common::clock::Timestamp;

use super::engine::{End, Joined, read, row, transaction};
use super::grants::{GrantRecord, GrantRow, bind_grant, grant_columns, grant_still_stands};
use super::{Store, StoreError};
use crate::grants::refresh_token::RefreshTokenHash;
use crate::grants::sealed_answer::SealedAnswer;

/// A refresh token that is about to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRefreshToken {
    pub(crate) hash: RefreshTokenHash,
    pub(crate) expires_at: Timestamp,
}

/// A refresh token as it stands, with its grant.
#[derive(Clone, Debug)]
pub(crate) struct RefreshTokenRecord {
    pub(crate) hash: RefreshTokenHash,
    pub(crate) grant: GrantRecord,
    pub(crate) generation: i64,
    pub(crate) expires_at: Timestamp,
    pub(crate) state: RefreshTokenState,
}

/// Where a refresh token stands in its life.
#[derive(Clone, Debug)]
pub(crate) enum RefreshTokenState {
    /// It has no successor.
    Leaf,
    /// It has one, and gives the same answer again until the time named, or for as long as the
    /// successor is unused.
    Answered {
        answer: SealedAnswer,
        until: Option<Timestamp>,
    },
    /// It has one, and its answer was erased.
    Spent,
}

/// A rotation whose every check has passed.
#[derive(Clone, Debug)]
pub(crate) struct Rotation<'a> {
    pub(crate) token: &'a RefreshTokenRecord,
    pub(crate) successor: NewRefreshToken,
    pub(crate) answer: SealedAnswer,
    pub(crate) now: Timestamp,
    /// How long an answer is given again although the successor was used, in seconds.
    pub(crate) grace: i64,
}

/// The answer to a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RotateRefreshToken {
    /// The successor is the leaf now.
    Rotated,
    /// Something relied on holds no longer: somebody else was faster.
    Lost,
}

row! {
    struct RefreshTokenRow {
        generation: i64,
        token_expires_at: i64,
        rotated_at: Option<i64>,
        sealed_answer: Option<String>,
        answer_until: Option<i64>,
    }
}

const FIND: &str = concat!(
    "SELECT t.generation, t.expires_at AS token_expires_at, t.rotated_at, t.sealed_answer,
            t.answer_until, ",
    grant_columns!(),
    " FROM refresh_tokens t
      JOIN grants g ON g.grant_id = t.grant_id
      JOIN accounts a ON a.account_id = g.account_id
     WHERE t.token_hash = $1"
);

pub(super) const INSERT: &str = "
    INSERT INTO refresh_tokens (token_hash, grant_id, generation, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5)";

const ROTATE: &str = concat!(
    "UPDATE refresh_tokens
        SET rotated_at = $1, sealed_answer = $7
      WHERE token_hash = $6
        AND rotated_at IS NULL
        AND grant_id = $2
        AND expires_at > $1
        AND ",
    grant_still_stands!()
);

/// The successor of this token is used now, so its answer has an end: the grace, from its own
/// rotation on.
const LIMIT_ANSWER: &str = "
    UPDATE refresh_tokens
       SET answer_until = rotated_at + $1,
           sealed_answer = CASE WHEN rotated_at + $1 > $2 THEN sealed_answer END
     WHERE grant_id = $3
       AND generation = $4
       AND rotated_at IS NOT NULL";

/// Writes a leaf, inside a transaction.
macro_rules! insert_refresh_token {
    ($connection:expr, $grant:expr, $generation:expr, $token:expr, $now:expr) => {
        sqlx::query($crate::store::refresh_tokens::INSERT)
            .bind($token.hash.to_hex())
            .bind($grant.as_str())
            .bind($generation)
            .bind($now.seconds())
            .bind($token.expires_at.seconds())
            .execute(&mut *$connection)
            .await?
    };
}

pub(super) use insert_refresh_token;

impl Store {
    /// Finds a refresh token with its grant.
    pub(crate) async fn find_refresh_token(
        &self,
        hash: RefreshTokenHash,
    ) -> Result<Option<RefreshTokenRecord>, StoreError> {
        let found: Option<Joined<RefreshTokenRow, GrantRow>> = read!(self, |connection| {
            Ok(sqlx::query_as(FIND)
                .bind(hash.to_hex())
                .fetch_optional(connection)
                .await?)
        })?;
        let Some(Joined(row, grant)) = found else {
            return Ok(None);
        };
        let state = match (row.rotated_at, row.sealed_answer) {
            (None, _) => RefreshTokenState::Leaf,
            (Some(_), None) => RefreshTokenState::Spent,
            (Some(_), Some(answer)) => RefreshTokenState::Answered {
                answer: SealedAnswer::from_stored(answer),
                until: row.answer_until.map(Timestamp::from_seconds),
            },
        };
        Ok(Some(RefreshTokenRecord {
            hash,
            grant: GrantRecord::try_from(grant)?,
            generation: row.generation,
            expires_at: Timestamp::from_seconds(row.token_expires_at),
            state,
        }))
    }

    /// Replaces a leaf by its successor and keeps the sealed answer, if everything relied on still
    /// holds.
    pub(crate) async fn rotate_refresh_token(
        &self,
        rotation: Rotation<'_>,
    ) -> Result<RotateRefreshToken, StoreError> {
        let Rotation {
            token,
            successor,
            answer,
            now,
            grace,
        } = rotation;
        let token = token.clone();
        transaction!(self, |connection| {
            let grant = &token.grant;
            let rotated = bind_grant!(sqlx::query(ROTATE), now, grant)
                .bind(token.hash.to_hex())
                .bind(answer.expose())
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if rotated == 0 {
                return Ok(End::Undo(RotateRefreshToken::Lost));
            }
            if token.generation > 0 {
                sqlx::query(LIMIT_ANSWER)
                    .bind(grace)
                    .bind(now.seconds())
                    .bind(grant.id.as_str())
                    .bind(token.generation - 1)
                    .execute(&mut *connection)
                    .await?;
            }
            let generation = token.generation + 1;
            insert_refresh_token!(connection, grant.id, generation, successor, now);
            Ok(End::Keep(RotateRefreshToken::Rotated))
        })
    }
}
