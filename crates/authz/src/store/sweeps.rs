//! Taking away what has ended, a bounded number of rows at a time.

use std::time::Duration;

use portcullis_common::clock::Timestamp;

use super::engine::{End, transaction};
use super::{Store, StoreError};

/// Most rows of one transaction, so that nobody waits long for the lock.
const ROWS: i64 = 500;
/// Most transactions of one sweep and statement; the rest waits for the next.
const ROUNDS: u32 = 200;
/// How long an ended grant is kept: longer than any access token that came from it, and long
/// enough to look into.
const ENDED_GRANT_KEPT: Duration = Duration::from_hours(24);

const SESSIONS: &str = "
    DELETE FROM sessions
     WHERE session_hash IN (SELECT session_hash FROM sessions WHERE expires_at <= $1 LIMIT $2)";

const REQUESTS: &str = "
    DELETE FROM authorization_requests
     WHERE handle_hash IN (SELECT handle_hash
                             FROM authorization_requests
                            WHERE expires_at <= $1
                            LIMIT $2)";

const REVOKED_TOKENS: &str = "
    DELETE FROM revoked_tokens
     WHERE jti IN (SELECT jti FROM revoked_tokens WHERE expires_at <= $1 LIMIT $2)";

const CODES: &str = "
    DELETE FROM authorization_codes
     WHERE code_hash IN (SELECT code_hash
                           FROM authorization_codes
                          WHERE forgotten_at <= $1
                          LIMIT $2)";

const ANSWERS: &str = "
    UPDATE refresh_tokens
       SET sealed_answer = NULL
     WHERE token_hash IN (SELECT token_hash
                            FROM refresh_tokens
                           WHERE sealed_answer IS NOT NULL
                             AND answer_until IS NOT NULL
                             AND answer_until <= $1
                           LIMIT $2)";

const REFRESH_TOKENS: &str = "
    DELETE FROM refresh_tokens
     WHERE token_hash IN (SELECT token_hash
                            FROM refresh_tokens
                           WHERE expires_at <= $1
                           LIMIT $2)";

const EXPIRED_GRANTS: &str = "
    DELETE FROM grants
     WHERE grant_id IN (SELECT grant_id FROM grants WHERE expires_at <= $1 LIMIT $2)";

const ENDED_GRANTS: &str = "
    DELETE FROM grants
     WHERE grant_id IN (SELECT grant_id
                          FROM grants
                         WHERE ended_at IS NOT NULL
                           AND ended_at <= $1
                         LIMIT $2)";

impl Store {
    /// Takes away sessions and authorization requests whose time is over.
    pub(crate) async fn sweep_people(&self, now: Timestamp) -> Result<(), StoreError> {
        self.sweep_by(SESSIONS, now).await?;
        self.sweep_by(REQUESTS, now).await
    }

    /// Takes away codes that were forgotten, refresh tokens that expired, answers that are no
    /// longer given, grants that ended a day ago, and revocations of tokens that ended by
    /// themselves.
    pub(crate) async fn sweep_grants(&self, now: Timestamp) -> Result<(), StoreError> {
        let day_ago = now.minus(ENDED_GRANT_KEPT);
        let sweeps = [
            (REVOKED_TOKENS, now),
            (CODES, now),
            (ANSWERS, now),
            (REFRESH_TOKENS, now),
            (EXPIRED_GRANTS, day_ago),
            (ENDED_GRANTS, day_ago),
        ];
        for (statement, end) in sweeps {
            self.sweep_by(statement, end).await?;
        }
        Ok(())
    }

    async fn sweep_by(&self, statement: &'static str, end: Timestamp) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let swept = transaction!(self, |connection| {
                let swept = sqlx::query(statement)
                    .bind(end.seconds())
                    .bind(ROWS)
                    .execute(&mut *connection)
                    .await?
                    .rows_affected();
                Ok(End::Keep(swept))
            })?;
            if swept < ROWS.unsigned_abs() {
                return Ok(());
            }
        }
        Ok(())
    }
}
