//! Clients that registered themselves, as the rest of the server sees them.

use portcullis_common::clock::Timestamp;
use portcullis_common::secret::SecretHash;

use super::changes::{COUNT_CHANGE, Topic};
use super::engine::{End, read, row, transaction};
use super::{Store, StoreError};
use crate::clients::registration::ClientMetadata;
use crate::clients::{Client, ClientId};

/// Most rows that one sweep removes.
const SWEEP: i64 = 500;

row! {
    pub(super) struct RegistrationRow {
        client_id: String,
        metadata: String,
        secret_hash: Option<String>,
        created_at: i64,
    }
}

/// The parts of a row, each of its own type.
pub(super) struct Parts {
    pub(super) client_id: ClientId,
    pub(super) metadata: ClientMetadata,
    pub(super) secret: Option<SecretHash>,
    pub(super) created_at: Timestamp,
}

impl TryFrom<RegistrationRow> for Parts {
    type Error = StoreError;

    fn try_from(row: RegistrationRow) -> Result<Self, StoreError> {
        let contradiction = |column| StoreError::Contradiction {
            table: "registered_clients",
            column,
            row: row.client_id.clone(),
        };
        let secret = row
            .secret_hash
            .as_deref()
            .map(|hash| SecretHash::from_hex(hash).ok_or_else(|| contradiction("secret_hash")));
        Ok(Self {
            client_id: ClientId::parse(&row.client_id).map_err(|_| contradiction("client_id"))?,
            metadata: serde_json::from_str(&row.metadata).map_err(|_| contradiction("metadata"))?,
            secret: secret.transpose()?,
            created_at: Timestamp::from_seconds(row.created_at),
        })
    }
}

impl Parts {
    fn into_client(self) -> Result<Client, StoreError> {
        let row = self.client_id.to_string();
        self.metadata
            .into_client(self.client_id, self.secret, self.created_at)
            .ok_or(StoreError::Contradiction {
                table: "registered_clients",
                column: "secret_hash",
                row,
            })
    }
}

/// Runs in the transaction that redeems a code: `$1` is now, `$2` the client. Once an hour is
/// enough, so that many logins with one public client do not wait for each other.
pub(crate) const MARK_CLIENT_USED: &str = "
    UPDATE registered_clients
       SET last_used_at = $1
     WHERE client_id = $2
       AND (last_used_at IS NULL OR last_used_at <= $1 - 3600)";

impl Store {
    /// Finds a client that registered itself.
    pub(crate) async fn find_registered_client(
        &self,
        id: &ClientId,
    ) -> Result<Option<Client>, StoreError> {
        let id = id.as_str().to_owned();
        let row: Option<RegistrationRow> = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT client_id, metadata, secret_hash, created_at
                   FROM registered_clients
                  WHERE client_id = $1",
            )
            .bind(id)
            .fetch_optional(connection)
            .await?)
        })?;
        row.map(|row| Parts::try_from(row)?.into_client())
            .transpose()
    }

    /// Reads all clients that registered themselves, the oldest first; for operators.
    pub(crate) async fn load_registered_clients(&self) -> Result<Vec<Client>, StoreError> {
        let rows: Vec<RegistrationRow> = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT client_id, metadata, secret_hash, created_at
                   FROM registered_clients
                  ORDER BY created_at, client_id",
            )
            .fetch_all(connection)
            .await?)
        })?;
        rows.into_iter()
            .map(|row| Parts::try_from(row)?.into_client())
            .collect()
    }

    /// Notes that a code was redeemed for a client; nothing, if it did not register itself. From
    /// then on no sweep removes it.
    pub async fn mark_client_used(&self, id: &ClientId, now: Timestamp) -> Result<(), StoreError> {
        let id = id.as_str().to_owned();
        transaction!(self, |connection| {
            sqlx::query(MARK_CLIENT_USED)
                .bind(now.seconds())
                .bind(id)
                .execute(&mut *connection)
                .await?;
            Ok(End::Keep(()))
        })
    }

    /// Removes up to 500 clients that registered by `registered_by` and never completed an
    /// authorization, and as many invitations that are over. Gives the number of both.
    pub async fn sweep_registrations(
        &self,
        registered_by: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (registered_by, now) = (registered_by.seconds(), now.seconds());
        let due: Option<(i64,)> = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT CAST(1 AS BIGINT)
                  WHERE EXISTS (SELECT 1 FROM registered_clients
                                         WHERE last_used_at IS NULL AND renewed_at <= $1)
                             OR EXISTS (SELECT 1 FROM initial_access_tokens
                                         WHERE expires_at <= $2)",
            )
            .bind(registered_by)
            .bind(now)
            .fetch_optional(connection)
            .await?)
        })?;
        if due.is_none() {
            return Ok(0);
        }
        transaction!(self, |connection| {
            let clients = sqlx::query(
                "DELETE FROM registered_clients
                  WHERE last_used_at IS NULL
                    AND renewed_at <= $1
                    AND client_id IN (SELECT client_id
                                        FROM registered_clients
                                       WHERE last_used_at IS NULL AND renewed_at <= $1
                                       ORDER BY renewed_at
                                       LIMIT $2)",
            )
            .bind(registered_by)
            .bind(SWEEP)
            .execute(&mut *connection)
            .await?
            .rows_affected();
            let tokens = sqlx::query(
                "DELETE FROM initial_access_tokens
                  WHERE token_hash IN (SELECT token_hash
                                         FROM initial_access_tokens
                                        WHERE expires_at <= $1
                                        LIMIT $2)",
            )
            .bind(now)
            .bind(SWEEP)
            .execute(&mut *connection)
            .await?
            .rows_affected();
            if clients > 0 {
                sqlx::query(COUNT_CHANGE)
                    .bind(Topic::Registrations.name())
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(End::Keep(clients + tokens))
        })
    }
}
