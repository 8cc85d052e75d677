//! Registrations: made, merged, changed and removed (RFC 7591, RFC 7592).

use portcullis_common::clock::Timestamp;
use portcullis_common::secret::SecretHash;

use super::changes::{COUNT_CHANGE, Topic};
use super::engine::{End, read, transaction};
use super::initial_access_tokens::TAKE_USE;
use super::registered_clients::{Parts, RegistrationRow};
use super::{RemoveClient, Store, StoreError};
use crate::clients::ClientId;
use crate::clients::registration::{
    ClientMetadata, InitialAccessTokenHash, MetadataDigest, RegistrationAccessTokenHash,
};

/// A client that is about to be registered.
#[derive(Clone, Debug)]
pub(crate) struct NewRegistration {
    pub(crate) client_id: ClientId,
    pub(crate) metadata: ClientMetadata,
    pub(crate) kind: RegistrationKind,
    /// What invites it, if anything does; one use is taken together with the registration.
    pub(crate) invitation: Option<InitialAccessTokenHash>,
}

/// What a registration is told apart by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RegistrationKind {
    /// The same metadata is the same client.
    Public(MetadataDigest),
    /// Every registration is a client of its own, which manages itself.
    Confidential {
        secret: SecretHash,
        token: RegistrationAccessTokenHash,
    },
}

/// The answer to a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InsertRegistration {
    /// There is a new client.
    Created,
    /// There is such a public client already.
    Merged(ClientId, Timestamp),
    /// The invitation is unknown, used up or over.
    NotInvited,
}

/// The answer to a changed registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateRegistration {
    /// It stands as it was sent.
    Updated,
    /// There is none, or the token is not its own.
    Unknown,
}

/// A registration as its own client reads it.
#[derive(Clone, Debug)]
pub(crate) struct RegistrationRecord {
    pub(crate) client_id: ClientId,
    pub(crate) metadata: ClientMetadata,
    pub(crate) secret: SecretHash,
    pub(crate) created_at: Timestamp,
}

const INSERT: &str = "
    INSERT INTO registered_clients
        (client_id, metadata, digest, secret_hash, registration_token_hash, created_at, renewed_at,
         last_used_at)
    VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
    ON CONFLICT DO NOTHING";

/// Keeps the sweep away from a client that somebody is about to use.
const RENEW: &str = "
    UPDATE registered_clients
       SET renewed_at = $1
     WHERE digest = $2
 RETURNING client_id, created_at";

const END_GRANTS: &str = "
    UPDATE grants
       SET ended_at = $1,
           end_reason = 'client_removed'
     WHERE client_id = $2
       AND ended_at IS NULL";

impl Store {
    /// Writes a new client, or finds the public one that is the same. Of registrations at the same
    /// moment the unique digest lets one write.
    pub(crate) async fn insert_registration(
        &self,
        new: NewRegistration,
        now: Timestamp,
    ) -> Result<InsertRegistration, StoreError> {
        let row = NewRow::from(new);
        let now = now.seconds();
        transaction!(self, |connection| {
            if let Some(invitation) = row.invitation {
                let taken = sqlx::query(TAKE_USE)
                    .bind(invitation)
                    .bind(now)
                    .execute(&mut *connection)
                    .await?
                    .rows_affected();
                if taken == 0 {
                    return Ok(End::Undo(InsertRegistration::NotInvited));
                }
            }
            let inserted = sqlx::query(INSERT)
                .bind(row.client_id)
                .bind(row.metadata)
                .bind(row.digest.as_deref())
                .bind(row.secret)
                .bind(row.token)
                .bind(now)
                .bind(row.counts_as_used.then_some(now))
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if inserted == 1 {
                return Ok(End::Keep(InsertRegistration::Created));
            }
            let same: Option<(String, i64)> = sqlx::query_as(RENEW)
                .bind(now)
                .bind(row.digest)
                .fetch_optional(&mut *connection)
                .await?;
            match same {
                Some(same) => merged(same).map(End::Keep),
                // It was swept between the two statements.
                None => Err(StoreError::Unavailable(
                    "a registration met the end of an equal one".to_owned(),
                )),
            }
        })
    }

    /// Finds the public client with this digest, and keeps the sweep away from it. Writes only when
    /// that is needed, so that registering again and again costs a look.
    pub(crate) async fn renew_registration(
        &self,
        digest: MetadataDigest,
        now: Timestamp,
    ) -> Result<Option<(ClientId, Timestamp)>, StoreError> {
        let digest = digest.to_hex();
        let key = digest.clone();
        let now = now.seconds();
        let found: Option<(String, i64, i64)> = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT client_id, created_at, COALESCE(last_used_at, renewed_at)
                   FROM registered_clients
                  WHERE digest = $1",
            )
            .bind(key)
            .fetch_optional(connection)
            .await?)
        })?;
        match found {
            None => return Ok(None),
            Some((id, created_at, kept_at)) if kept_at >= now => {
                return parts((id, created_at)).map(Some);
            }
            Some(_) => {}
        }
        let same: Option<(String, i64)> = transaction!(self, |connection| {
            let same = sqlx::query_as(RENEW)
                .bind(now)
                .bind(digest)
                .fetch_optional(&mut *connection)
                .await?;
            Ok(End::Keep(same))
        })?;
        same.map(parts).transpose()
    }

    /// Finds the registration that this token manages. An unknown client and a wrong token are one
    /// answer of one question.
    pub(crate) async fn find_registration(
        &self,
        id: &ClientId,
        token: RegistrationAccessTokenHash,
    ) -> Result<Option<RegistrationRecord>, StoreError> {
        let id = id.as_str().to_owned();
        let row: Option<RegistrationRow> = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT client_id, metadata, secret_hash, created_at
                   FROM registered_clients
                  WHERE client_id = $1
                    AND registration_token_hash = $2",
            )
            .bind(id)
            .bind(token.to_hex())
            .fetch_optional(connection)
            .await?)
        })?;
        let Some(parts) = row.map(Parts::try_from).transpose()? else {
            return Ok(None);
        };
        let secret = parts.secret.ok_or_else(|| StoreError::Contradiction {
            table: "registered_clients",
            column: "secret_hash",
            row: parts.client_id.to_string(),
        })?;
        Ok(Some(RegistrationRecord {
            client_id: parts.client_id,
            metadata: parts.metadata,
            secret,
            created_at: parts.created_at,
        }))
    }

    /// Replaces the metadata of the registration that this token manages.
    pub(crate) async fn update_registration(
        &self,
        id: &ClientId,
        token: RegistrationAccessTokenHash,
        metadata: &ClientMetadata,
    ) -> Result<UpdateRegistration, StoreError> {
        let (id, metadata) = (id.as_str().to_owned(), metadata.to_text());
        transaction!(self, |connection| {
            let updated = sqlx::query(
                "UPDATE registered_clients
                    SET metadata = $1
                  WHERE client_id = $2
                    AND registration_token_hash = $3",
            )
            .bind(metadata)
            .bind(id)
            .bind(token.to_hex())
            .execute(&mut *connection)
            .await?
            .rows_affected();
            if updated == 0 {
                return Ok(End::Undo(UpdateRegistration::Unknown));
            }
            sqlx::query(COUNT_CHANGE)
                .bind(Topic::Registrations.name())
                .execute(&mut *connection)
                .await?;
            Ok(End::Keep(UpdateRegistration::Updated))
        })
    }

    /// Removes a client that registered itself, with everything that came from approvals for it;
    /// with a token only the client that the token manages.
    pub(crate) async fn remove_registration(
        &self,
        id: &ClientId,
        token: Option<RegistrationAccessTokenHash>,
        now: Timestamp,
    ) -> Result<RemoveClient, StoreError> {
        let id = id.as_str().to_owned();
        let token = token.map(RegistrationAccessTokenHash::to_hex);
        transaction!(self, |connection| {
            let removed = match token {
                None => sqlx::query("DELETE FROM registered_clients WHERE client_id = $1")
                    .bind(id.as_str()),
                Some(token) => sqlx::query(
                    "DELETE FROM registered_clients
                      WHERE client_id = $1
                        AND registration_token_hash = $2",
                )
                .bind(id.as_str())
                .bind(token),
            }
            .execute(&mut *connection)
            .await?
            .rows_affected();
            if removed == 0 {
                return Ok(End::Undo(RemoveClient::Unknown));
            }
            sqlx::query(END_GRANTS)
                .bind(now.seconds())
                .bind(id.as_str())
                .execute(&mut *connection)
                .await?;
            sqlx::query("DELETE FROM consents WHERE client_id = $1")
                .bind(id.as_str())
                .execute(&mut *connection)
                .await?;
            for topic in [Topic::Grants, Topic::Registrations] {
                sqlx::query(COUNT_CHANGE)
                    .bind(topic.name())
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(End::Keep(RemoveClient::Removed))
        })
    }
}

/// A new registration as it is bound.
struct NewRow {
    client_id: String,
    metadata: String,
    digest: Option<String>,
    secret: Option<String>,
    token: Option<String>,
    invitation: Option<String>,
    counts_as_used: bool,
}

impl From<NewRegistration> for NewRow {
    fn from(new: NewRegistration) -> Self {
        let (digest, secret, token) = match new.kind {
            RegistrationKind::Public(digest) => (Some(digest.to_hex()), None, None),
            RegistrationKind::Confidential { secret, token } => {
                (None, Some(secret.to_hex()), Some(token.to_hex()))
            }
        };
        Self {
            client_id: new.client_id.to_string(),
            metadata: new.metadata.to_text(),
            digest,
            secret,
            token,
            invitation: new.invitation.map(InitialAccessTokenHash::to_hex),
            // Its tokens leave no trace by which its use could be seen.
            counts_as_used: new.metadata.is_for_client_credentials(),
        }
    }
}

fn parts((id, created_at): (String, i64)) -> Result<(ClientId, Timestamp), StoreError> {
    let client_id = ClientId::parse(&id).map_err(|_| StoreError::Contradiction {
        table: "registered_clients",
        column: "client_id",
        row: id,
    })?;
    Ok((client_id, Timestamp::from_seconds(created_at)))
}

fn merged(same: (String, i64)) -> Result<InsertRegistration, StoreError> {
    let (client_id, created_at) = parts(same)?;
    Ok(InsertRegistration::Merged(client_id, created_at))
}
