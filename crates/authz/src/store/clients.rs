//! Clients that operators made.

use portcullis_common::clock::Timestamp;
use portcullis_common::config::{GrantType, TokenEndpointAuthMethod};
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::Scope;
use portcullis_common::secret::SecretHash;

use super::changes::{COUNT_CHANGE, Topic};
use super::engine::{End, read, row, transaction};
use super::grants::{END_GRANTS_OF_CLIENT, GrantEnd};
use super::{Store, StoreError};
use crate::clients::{Client, ClientId, ClientOrigin, Credential};

/// The answer to a new client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertClient {
    /// It is there now.
    Created,
    /// Its id belongs to another client.
    IdTaken,
}

/// The answer to the removal of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveClient {
    /// It is gone.
    Removed,
    /// There was none.
    Unknown,
}

row! {
    struct ClientRow {
        client_id: String,
        name: String,
        auth_method: String,
        secret_hash: Option<String>,
        grant_types: String,
        redirect_uris: String,
        scope: Option<String>,
        introspect: String,
        created_at: i64,
    }
}

impl TryFrom<ClientRow> for Client {
    type Error = StoreError;

    fn try_from(row: ClientRow) -> Result<Self, StoreError> {
        let contradiction = |column| StoreError::Contradiction {
            table: "clients",
            column,
            row: row.client_id.clone(),
        };
        let texts = |column, json: &str| {
            serde_json::from_str::<Vec<String>>(json).map_err(|_| contradiction(column))
        };
        let secret_hash = row
            .secret_hash
            .as_deref()
            .map(|hash| SecretHash::from_hex(hash).ok_or_else(|| contradiction("secret_hash")));
        let credential = match (
            TokenEndpointAuthMethod::parse(&row.auth_method),
            secret_hash.transpose()?,
        ) {
            (Some(TokenEndpointAuthMethod::None), None) => Credential::None,
            (Some(TokenEndpointAuthMethod::ClientSecretBasic), Some(hash)) => {
                Credential::SecretBasic(hash)
            }
            (Some(TokenEndpointAuthMethod::ClientSecretPost), Some(hash)) => {
                Credential::SecretPost(hash)
            }
            _ => return Err(contradiction("auth_method")),
        };
        Ok(Self {
            id: ClientId::parse(&row.client_id).map_err(|_| contradiction("client_id"))?,
            credential,
            grants: texts("grant_types", &row.grant_types)?
                .iter()
                .map(|name| GrantType::parse(name).ok_or_else(|| contradiction("grant_types")))
                .collect::<Result<_, _>>()?,
            redirect_uris: texts("redirect_uris", &row.redirect_uris)?,
            scope: row
                .scope
                .as_deref()
                .map(str::parse::<Scope>)
                .transpose()
                .map_err(|_| contradiction("scope"))?,
            introspect: texts("introspect", &row.introspect)?
                .iter()
                .map(|text| ResourceIndicator::parse(text).map_err(|_| contradiction("introspect")))
                .collect::<Result<_, _>>()?,
            created_at: Timestamp::from_seconds(row.created_at),
            origin: ClientOrigin::Operator,
            name: row.name,
        })
    }
}

impl Store {
    /// Writes a new client, unless its id is taken.
    pub async fn insert_client(&self, client: &Client) -> Result<InsertClient, StoreError> {
        let row = ClientRow::from(client);
        transaction!(self, |connection| {
            let inserted = sqlx::query(
                "INSERT INTO clients
                     (client_id, name, auth_method, secret_hash, grant_types, redirect_uris, scope,
                      introspect, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                 ON CONFLICT DO NOTHING",
            )
            .bind(row.client_id)
            .bind(row.name)
            .bind(row.auth_method)
            .bind(row.secret_hash)
            .bind(row.grant_types)
            .bind(row.redirect_uris)
            .bind(row.scope)
            .bind(row.introspect)
            .bind(row.created_at)
            .execute(&mut *connection)
            .await?
            .rows_affected();
            if inserted == 0 {
                return Ok(End::Undo(InsertClient::IdTaken));
            }
            sqlx::query(COUNT_CHANGE)
                .bind(Topic::Clients.name())
                .execute(&mut *connection)
                .await?;
            Ok(End::Keep(InsertClient::Created))
        })
    }

    /// Reads all clients, the oldest first.
    pub async fn load_clients(&self) -> Result<Vec<Client>, StoreError> {
        let rows: Vec<ClientRow> = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT client_id, name, auth_method, secret_hash, grant_types, redirect_uris,
                        scope, introspect, created_at
                   FROM clients
                  ORDER BY created_at, client_id",
            )
            .fetch_all(connection)
            .await?)
        })?;
        rows.into_iter().map(Client::try_from).collect()
    }

    /// Finds a client that an operator made.
    pub(crate) async fn find_client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        let id = id.as_str().to_owned();
        let row: Option<ClientRow> = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT client_id, name, auth_method, secret_hash, grant_types, redirect_uris,
                        scope, introspect, created_at
                   FROM clients
                  WHERE client_id = $1",
            )
            .bind(id)
            .fetch_optional(connection)
            .await?)
        })?;
        row.map(Client::try_from).transpose()
    }

    /// Removes a client, and ends what people allowed it.
    pub async fn remove_client(
        &self,
        id: &ClientId,
        now: Timestamp,
    ) -> Result<RemoveClient, StoreError> {
        let id = id.as_str().to_owned();
        transaction!(self, |connection| {
            let removed = sqlx::query("DELETE FROM clients WHERE client_id = $1")
                .bind(id.as_str())
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if removed == 0 {
                return Ok(End::Undo(RemoveClient::Unknown));
            }
            sqlx::query(END_GRANTS_OF_CLIENT)
                .bind(now.seconds())
                .bind(GrantEnd::ClientRemoved.name())
                .bind(id)
                .execute(&mut *connection)
                .await?;
            for topic in [Topic::Clients, Topic::Grants] {
                sqlx::query(COUNT_CHANGE)
                    .bind(topic.name())
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(End::Keep(RemoveClient::Removed))
        })
    }
}

impl From<&Client> for ClientRow {
    fn from(client: &Client) -> Self {
        let json = |texts: Vec<&str>| serde_json::Value::from(texts).to_string();
        Self {
            client_id: client.id.as_str().to_owned(),
            name: client.name.clone(),
            auth_method: client.credential.method().name().to_owned(),
            secret_hash: client.credential.secret_hash().map(SecretHash::to_hex),
            grant_types: json(client.grants.iter().map(|grant| grant.name()).collect()),
            redirect_uris: json(client.redirect_uris.iter().map(String::as_str).collect()),
            scope: client.scope.as_ref().map(Scope::to_string),
            introspect: json(
                client
                    .introspect
                    .iter()
                    .map(ResourceIndicator::as_str)
                    .collect(),
            ),
            created_at: client.created_at.seconds(),
        }
    }
}
