//! What the store knows of its own restores.
//!
//! A backup is older than the life it is put back into: codes in it were spent since, refresh tokens
//! rotated, sessions and invitations used up. So a restore begins a new era. A grant belongs to the
//! era in which it was made, and what is asked of one of an earlier era repeats that in its `WHERE`.

use portcullis_common::clock::Timestamp;

use super::engine::{End, read, transaction};
use super::{Store, StoreError};

/// Most rows of one transaction, so that nobody waits long for the lock.
const ROWS: i64 = 500;

/// What is single-use or can be ended, and lives for hours at most: it is taken away as a whole.
const SHORT_LIVED: [&str; 3] = [
    "DELETE FROM sessions
      WHERE session_hash IN (SELECT session_hash FROM sessions LIMIT $1)",
    "DELETE FROM authorization_requests
      WHERE handle_hash IN (SELECT handle_hash FROM authorization_requests LIMIT $1)",
    "DELETE FROM initial_access_tokens
      WHERE token_hash IN (SELECT token_hash FROM initial_access_tokens LIMIT $1)",
];

const BEGIN_ERA: &str = "
    INSERT INTO restores (era, restored_at)
    SELECT COALESCE(MAX(era), 0) + 1, $1 FROM restores";

/// A server that runs all the same reads clients and keys again.
const COUNT_ALL_CHANGES: &str = "UPDATE change_counters SET value = value + 1";

impl Store {
    /// Marks the store as just restored from a backup: every grant in it ends, and with it its codes
    /// and tokens; browser sessions, authorization requests under way and invitations are taken away.
    /// Clients, people, consents and keys stay. The cost does not grow with the number of grants.
    ///
    /// Once more is no error: what began between the two ends too.
    pub async fn mark_restored(&self, now: Timestamp) -> Result<(), StoreError> {
        // The mark comes last: as long as something of this failed, it does not stand.
        for statement in SHORT_LIVED {
            while self.delete_some(statement).await? == ROWS.unsigned_abs() {}
        }
        transaction!(self, |connection| {
            sqlx::query(BEGIN_ERA)
                .bind(now.seconds())
                .execute(&mut *connection)
                .await?;
            sqlx::query(COUNT_ALL_CHANGES)
                .execute(&mut *connection)
                .await?;
            Ok(End::Keep(()))
        })
    }

    async fn delete_some(&self, statement: &'static str) -> Result<u64, StoreError> {
        transaction!(self, |connection| {
            let deleted = sqlx::query(statement)
                .bind(ROWS)
                .execute(&mut *connection)
                .await?
                .rows_affected();
            Ok(End::Keep(deleted))
        })
    }

    /// When the store was last restored from a backup, if ever.
    pub async fn find_last_restore(&self) -> Result<Option<Timestamp>, StoreError> {
        let (restored_at,): (Option<i64>,) = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT (SELECT restored_at FROM restores ORDER BY era DESC LIMIT 1)",
            )
            .fetch_one(connection)
            .await?)
        })?;
        Ok(restored_at.map(Timestamp::from_seconds))
    }
}
