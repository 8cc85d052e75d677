//! Clients that operators made.

use portcullis_common::clock::Timestamp;
use portcullis_common::config::{GrantType, TokenEndpointAuthMethod};
use portcullis_common::distinguished_name::DistinguishedName;
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
        subject: Option<String>,
        grant_types: String,
        redirect_uris: String,
        scope: Option<String>,
        introspect: String,
        created_at: i64,
    }
}

const SELECT_CLIENTS: &str = "
    SELECT client_id, name, auth_method, secret_hash, NULL AS subject, grant_types, redirect_uris,
           scope, introspect, created_at
      FROM clients
     UNION ALL
    SELECT client_id, name, auth_method, NULL, subject, grant_types, redirect_uris,
           scope, introspect, created_at
      FROM certificate_clients
     ORDER BY created_at, client_id";
const SELECT_CLIENT: &str = "
    SELECT client_id, name, auth_method, secret_hash, NULL AS subject, grant_types, redirect_uris,
           scope, introspect, created_at
      FROM clients
     WHERE client_id = $1
     UNION ALL
    SELECT client_id, name, auth_method, NULL, subject, grant_types, redirect_uris,
           scope, introspect, created_at
      FROM certificate_clients
     WHERE client_id = $1";

/// An id of one of the two tables is none of the other.
const INSERT_CLIENT: &str = "
    INSERT INTO clients
        (client_id, name, auth_method, secret_hash, grant_types, redirect_uris, scope, introspect,
         created_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
     WHERE NOT EXISTS (SELECT 1 FROM certificate_clients WHERE client_id = $1)
        ON CONFLICT DO NOTHING";
const INSERT_CERTIFICATE_CLIENT: &str = "
    INSERT INTO certificate_clients
        (client_id, name, auth_method, subject, grant_types, redirect_uris, scope, introspect,
         created_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
     WHERE NOT EXISTS (SELECT 1 FROM clients WHERE client_id = $1)
        ON CONFLICT DO NOTHING";
const DELETE_CLIENT: [&str; 2] = [
    "DELETE FROM clients WHERE client_id = $1",
    "DELETE FROM certificate_clients WHERE client_id = $1",
];

impl TryFrom<ClientRow> for Client {
    type Error = StoreError;

    fn try_from(row: ClientRow) -> Result<Self, StoreError> {
        let contradiction = |column| StoreError::Contradiction {
            table: row.table(),
            column,
            row: row.client_id.clone(),
        };
        let texts = |column, json: &str| {
            serde_json::from_str::<Vec<String>>(json).map_err(|_| contradiction(column))
        };
        let credential = row.credential().map_err(contradiction)?;
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

impl ClientRow {
    /// Where it stands.
    const fn table(&self) -> &'static str {
        match self.subject {
            None => "clients",
            Some(_) => "certificate_clients",
        }
    }

    /// What the client proves itself with, or the column that makes no sense.
    fn credential(&self) -> Result<Credential, &'static str> {
        use TokenEndpointAuthMethod as Method;

        let hash = |text| SecretHash::from_hex(text).ok_or("secret_hash");
        let method = Method::parse(&self.auth_method);
        match (method, self.secret_hash.as_deref(), self.subject.as_deref()) {
            (Some(Method::None), None, None) => Ok(Credential::None),
            (Some(Method::ClientSecretBasic), Some(text), None) => {
                hash(text).map(Credential::SecretBasic)
            }
            (Some(Method::ClientSecretPost), Some(text), None) => {
                hash(text).map(Credential::SecretPost)
            }
            (Some(Method::TlsClientAuth), None, Some(text)) => {
                let subject = DistinguishedName::parse(text).map_err(|_| "subject")?;
                Ok(Credential::Certificate(subject))
            }
            _ => Err("auth_method"),
        }
    }
}

impl Store {
    /// Writes a new client, unless its id is taken.
    pub async fn insert_client(&self, client: &Client) -> Result<InsertClient, StoreError> {
        let row = ClientRow::from(client);
        let (insert, credential) = match row.subject {
            None => (INSERT_CLIENT, row.secret_hash),
            Some(subject) => (INSERT_CERTIFICATE_CLIENT, Some(subject)),
        };
        transaction!(self, |connection| {
            // First, so that nobody writes the id into the other table meanwhile.
            sqlx::query(COUNT_CHANGE)
                .bind(Topic::Clients.name())
                .execute(&mut *connection)
                .await?;
            let inserted = sqlx::query(insert)
                .bind(row.client_id)
                .bind(row.name)
                .bind(row.auth_method)
                .bind(credential)
                .bind(row.grant_types)
                .bind(row.redirect_uris)
                .bind(row.scope)
                .bind(row.introspect)
                .bind(row.created_at)
                .execute(&mut *connection)
                .await?
                .rows_affected();
            match inserted {
                0 => Ok(End::Undo(InsertClient::IdTaken)),
                _ => Ok(End::Keep(InsertClient::Created)),
            }
        })
    }

    /// Reads all clients, the oldest first.
    pub async fn load_clients(&self) -> Result<Vec<Client>, StoreError> {
        let rows: Vec<ClientRow> = read!(self, |connection| {
            Ok(sqlx::query_as(SELECT_CLIENTS).fetch_all(connection).await?)
        })?;
        rows.into_iter().map(Client::try_from).collect()
    }

    /// Finds a client that an operator made.
    pub(crate) async fn find_client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        let id = id.as_str().to_owned();
        let row: Option<ClientRow> = read!(self, |connection| {
            Ok(sqlx::query_as(SELECT_CLIENT)
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
            // In the order of `insert_client`, so that the two never wait for each other.
            sqlx::query(COUNT_CHANGE)
                .bind(Topic::Clients.name())
                .execute(&mut *connection)
                .await?;
            let mut removed = 0;
            for delete in DELETE_CLIENT {
                removed += sqlx::query(delete)
                    .bind(id.as_str())
                    .execute(&mut *connection)
                    .await?
                    .rows_affected();
            }
            if removed == 0 {
                return Ok(End::Undo(RemoveClient::Unknown));
            }
            sqlx::query(END_GRANTS_OF_CLIENT)
                .bind(now.seconds())
                .bind(GrantEnd::ClientRemoved.name())
                .bind(id)
                .execute(&mut *connection)
                .await?;
            sqlx::query(COUNT_CHANGE)
                .bind(Topic::Grants.name())
                .execute(&mut *connection)
                .await?;
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
            subject: client.credential.subject().map(ToString::to_string),
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
