//! Everything that outlives the process, and the only SQL.
//!
//! [`Store`] is one type over SQLite and PostgreSQL. Each method is one event of the protocol and
//! one whole transaction; it states what it relies on in its `WHERE` and answers with an outcome.
//! Nobody outside holds a transaction. Raw secrets never come in here, only their hashes.

mod accounts;
mod approvals;
mod authorization_requests;
mod backup;
mod changes;
mod clients;
mod codes;
mod copy;
mod engine;
mod error;
mod files;
mod grants;
mod initial_access_tokens;
mod migrations;
mod postgres;
mod refresh_tokens;
mod registered_clients;
mod registrations;
mod restores;
mod revoked_tokens;
mod sessions;
mod signing_keys;
mod sqlite;
mod sweeps;
mod url;
mod writer;

use portcullis_common::clock::Clock;
use portcullis_common::config::{MigrateMode, StoreConfig};

pub(crate) use accounts::{ChangeAccount, FirstStart, InsertAccount};
pub(crate) use approvals::{Decision, RecordApproval, RememberedConsent};
pub use backup::{BackupError, backup, restore};
pub use changes::ChangeCounters;
pub use clients::{InsertClient, RemoveClient};
pub(crate) use codes::{CodeRecord, FindCode, RedeemCode, Redemption};
pub use copy::{CopiedTable, CopyError, copy};
pub use error::{SchemaError, StoreError};
pub(crate) use grants::{EndGrant, GrantEnd, GrantRecord};
pub(crate) use refresh_tokens::{
    NewRefreshToken, RefreshTokenRecord, RefreshTokenState, RotateRefreshToken, Rotation,
};
pub(crate) use registrations::{
    InsertRegistration, NewRegistration, RegistrationKind, RegistrationRecord, UpdateRegistration,
};
pub(crate) use sessions::{NewSession, OpenSession};
pub use signing_keys::{
    InitialiseKeys, KeyState, NewSigningKey, RotateKeys, SigningKeyRecord, StoredPrivateKey,
};

use engine::Engine;
use url::StoreUrl;

/// The database, whichever engine it is.
///
/// Cloning is cheap; all clones share connections.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
}

impl Store {
    /// Opens the database that is configured and brings its schema up to date, or refuses an old
    /// one if the configuration says so.
    pub async fn open(config: &StoreConfig, clock: &dyn Clock) -> Result<Self, StoreError> {
        let url = StoreUrl::parse(&config.url)?;
        match config.migrate {
            MigrateMode::Auto => migrations::apply(&url, clock.now()).await?,
            MigrateMode::Off => migrations::check(&url).await?,
        }
        let engine = match &url {
            StoreUrl::Sqlite(path) => Engine::Sqlite(sqlite::Sqlite::open(path).await?),
            StoreUrl::Postgres(options) => Engine::Postgres(postgres::Postgres::open(options)),
        };
        Ok(Self { engine })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.load_change_counters().await.map(drop)
    }

    /// Finishes writes under way and closes every connection. Later calls fail.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close().await,
            Engine::Postgres(postgres) => postgres.close().await,
        }
    }
}

/// Brings the schema of the configured database up to date, also where `migrate = "off"` keeps a
/// server from doing it. Two processes that do this together migrate once.
pub async fn migrate(config: &StoreConfig, clock: &dyn Clock) -> Result<(), StoreError> {
    migrations::apply(&StoreUrl::parse(&config.url)?, clock.now()).await
}
