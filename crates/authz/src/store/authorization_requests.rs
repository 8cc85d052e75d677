//! Authorization requests that wait for their person, and what people remember to have allowed.

use portcullis_common::clock::Timestamp;
use portcullis_common::resource_indicator::ResourceIndicator;

use super::approvals::RememberedConsent;
use super::engine::{End, read, row, transaction};
use super::{Store, StoreError};
use crate::accounts::AccountId;
use crate::accounts::session::RequestHandleHash;
use crate::clients::ClientId;

/// A request as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct WaitingRequest {
    /// The validated request, as JSON.
    pub(crate) request: String,
    pub(crate) is_decided: bool,
    pub(crate) expires_at: Timestamp,
}

row! {
    struct RequestRow {
        request: String,
        expires_at: i64,
        decided_at: Option<i64>,
    }
}

row! {
    struct ConsentRow {
        redirect_host: String,
        scope: String,
        client_digest: String,
    }
}

const SELECT_CONSENT: &str = "
    SELECT redirect_host, scope, client_digest
      FROM consents
     WHERE account_id = $1
       AND client_id = $2
       AND resource = $3
       AND redirect_host = $4";

impl Store {
    /// Keeps a validated request until its time is over.
    pub(crate) async fn insert_authorization_request(
        &self,
        handle: RequestHandleHash,
        request: String,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        transaction!(self, |connection| {
            sqlx::query(
                "INSERT INTO authorization_requests (handle_hash, request, created_at, expires_at)
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(handle.to_hex())
            .bind(request)
            .bind(now.seconds())
            .bind(expires_at.seconds())
            .execute(&mut *connection)
            .await?;
            Ok(End::Keep(()))
        })
    }

    /// Finds a request by its handle.
    pub(crate) async fn find_authorization_request(
        &self,
        handle: RequestHandleHash,
    ) -> Result<Option<WaitingRequest>, StoreError> {
        let row: Option<RequestRow> = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT request, expires_at, decided_at
                   FROM authorization_requests
                  WHERE handle_hash = $1",
            )
            .bind(handle.to_hex())
            .fetch_optional(connection)
            .await?)
        })?;
        Ok(row.map(|row| WaitingRequest {
            request: row.request,
            is_decided: row.decided_at.is_some(),
            expires_at: Timestamp::from_seconds(row.expires_at),
        }))
    }

    /// Finds what a person allowed a client at a resource, to be sent to a host.
    pub(crate) async fn find_consent(
        &self,
        account: &AccountId,
        client: &ClientId,
        resource: &ResourceIndicator,
        redirect_host: &str,
    ) -> Result<Option<RememberedConsent>, StoreError> {
        let key = [
            account.as_str().to_owned(),
            client.as_str().to_owned(),
            resource.as_str().to_owned(),
            redirect_host.to_owned(),
        ];
        let row: Option<ConsentRow> = read!(self, |connection| {
            let [account, client, resource, redirect_host] = key;
            Ok(sqlx::query_as(SELECT_CONSENT)
                .bind(account)
                .bind(client)
                .bind(resource)
                .bind(redirect_host)
                .fetch_optional(connection)
                .await?)
        })?;
        row.map(|row| {
            Ok(RememberedConsent {
                scope: row.scope.parse().map_err(|_| StoreError::Contradiction {
                    table: "consents",
                    column: "scope",
                    row: client.to_string(),
                })?,
                redirect_host: row.redirect_host,
                client_digest: row.client_digest,
            })
        })
        .transpose()
    }
}
