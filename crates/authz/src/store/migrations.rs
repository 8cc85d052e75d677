//! The schema and its history.
//!
//! Each file of the folder `migrations` is applied once, in order, forward only. A file runs
//! unchanged on both engines; one that cannot gets a twin, named in [`Migration::postgres`].

use std::future::Future;

use portcullis_common::clock::Timestamp;
use portcullis_common::secret::SecretHash;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};

use super::url::StoreUrl;
use super::{SchemaError, StoreError, sqlite};

/// One step of the schema.
struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! same_on_both {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../../../migrations/", $name, ".sql")),
            postgres: include_str!(concat!("../../../../migrations/", $name, ".sql")),
        }
    };
}

const MIGRATIONS: [Migration; 6] = [
    same_on_both!(1, "0001_clients_keys_and_change_counters"),
    same_on_both!(2, "0002_people_and_grants"),
    same_on_both!(3, "0003_revoked_tokens"),
    same_on_both!(4, "0004_registered_clients"),
    same_on_both!(5, "0005_restores"),
    same_on_both!(6, "0006_certificate_clients"),
];

/// Every table that a migration makes, those that are referred to before those that refer to them.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    MIGRATIONS
        .iter()
        .flat_map(|migration| migration.sqlite.lines())
        .filter_map(|line| line.strip_prefix("CREATE TABLE ")?.strip_suffix(" ("))
}

const HISTORY: &str = "
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version    BIGINT NOT NULL PRIMARY KEY,
        name       TEXT   NOT NULL,
        checksum   TEXT   NOT NULL,
        applied_at BIGINT NOT NULL
    )";

/// Any number that no other program takes for its advisory lock.
const LOCK: i64 = 0x706f_7274_6375_6c31;

/// How long to wait for another process that migrates.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

/// Applies what is missing, under a lock. Where nothing is, nothing is locked or written, so that
/// a server may run with an account that cannot change the schema.
pub(super) async fn apply(url: &StoreUrl, now: Timestamp) -> Result<(), StoreError> {
    match check(url).await {
        Err(StoreError::Schema(SchemaError::Old { .. })) => {}
        checked => return checked,
    }
    match url {
        StoreUrl::Sqlite(path) => {
            let mut connection = sqlite::connect_for_writing(path).await?;
            apply_sqlite(&mut connection, now).await?;
            connection.close().await?;
        }
        StoreUrl::Postgres(options) => {
            let mut connection = connect_postgres(options).await?;
            patiently(apply_postgres(&mut connection, now)).await?;
            connection.close().await?;
        }
    }
    Ok(())
}

/// Refuses a schema on which something is missing, and changes nothing.
pub(super) async fn check(url: &StoreUrl) -> Result<(), StoreError> {
    let history = match url {
        StoreUrl::Sqlite(path) if !path.exists() => Vec::new(),
        StoreUrl::Sqlite(path) => {
            let mut connection = sqlite::connect_for_writing(path).await?;
            let history = sqlite_history(&mut connection).await;
            connection.close().await?;
            unless_absent(history)?
        }
        StoreUrl::Postgres(options) => {
            let mut connection = connect_postgres(options).await?;
            let history = patiently(postgres_history(&mut connection)).await;
            connection.close().await?;
            unless_absent(history)?
        }
    };
    match missing(history)?.next() {
        Some(migration) => Err(StoreError::Schema(SchemaError::Old {
            first_missing: migration.name.to_owned(),
        })),
        None => Ok(()),
    }
}

/// What stands in the history: version and checksum.
pub(super) type Applied = (i64, String);

/// The migrations that are not in the history.
fn missing(history: Vec<Applied>) -> Result<impl Iterator<Item = &'static Migration>, SchemaError> {
    for migration in &MIGRATIONS {
        let recorded = history
            .iter()
            .find(|(version, _)| *version == migration.version);
        if recorded.is_some_and(|(_, checksum)| *checksum != migration.checksum()) {
            return Err(SchemaError::Changed {
                name: migration.name.to_owned(),
            });
        }
    }
    // A newer program may have been here first: during a rolling change both run, and migrations
    // only expand what the older one knows.
    if history.len() > MIGRATIONS.len() {
        tracing::warn!("the schema of the store is newer than this program");
    }
    Ok(MIGRATIONS.iter().filter(move |migration| {
        history
            .iter()
            .all(|(version, _)| *version != migration.version)
    }))
}

/// Whether a history is one that this program, or an earlier one, can have written.
pub(super) fn is_known(history: &[Applied]) -> Result<bool, SchemaError> {
    let applied = MIGRATIONS.len() - missing(history.to_vec())?.count();
    Ok(applied == history.len() && !history.is_empty())
}

impl Migration {
    /// Of both texts, so that it does not depend on the engine.
    fn checksum(&self) -> String {
        SecretHash::of(&format!("{}\0{}", self.sqlite, self.postgres)).to_hex()
    }
}

/// A history that was never begun is an empty one.
fn unless_absent(history: Result<Vec<Applied>, StoreError>) -> Result<Vec<Applied>, StoreError> {
    match history {
        Err(StoreError::Refused(_)) => Ok(Vec::new()),
        other => other,
    }
}

const SELECT_HISTORY: &str = "SELECT version, checksum FROM schema_migrations ORDER BY version";
const INSERT_HISTORY: &str = "
    INSERT INTO schema_migrations (version, name, checksum, applied_at)
    VALUES ($1, $2, $3, $4)";

pub(super) async fn sqlite_history(
    connection: &mut SqliteConnection,
) -> Result<Vec<Applied>, StoreError> {
    Ok(sqlx::query_as(SELECT_HISTORY).fetch_all(connection).await?)
}

async fn postgres_history(connection: &mut PgConnection) -> Result<Vec<Applied>, StoreError> {
    Ok(sqlx::query_as(SELECT_HISTORY).fetch_all(connection).await?)
}

/// Applies what is missing inside a transaction that holds the lock, and commits: the same body,
/// once for each engine.
macro_rules! apply_missing {
    ($transaction:ident, $engine:ident, $now:expr) => {{
        sqlx::raw_sql(HISTORY).execute(&mut *$transaction).await?;
        let select = sqlx::query_as(SELECT_HISTORY);
        let history: Vec<Applied> = select.fetch_all(&mut *$transaction).await?;
        for migration in missing(history)? {
            sqlx::raw_sql(migration.$engine)
                .execute(&mut *$transaction)
                .await?;
            sqlx::query(INSERT_HISTORY)
                .bind(migration.version)
                .bind(migration.name)
                .bind(migration.checksum())
                .bind($now.seconds())
                .execute(&mut *$transaction)
                .await?;
        }
        $transaction.commit().await?;
        Ok(())
    }};
}

async fn apply_sqlite(connection: &mut SqliteConnection, now: Timestamp) -> Result<(), StoreError> {
    // The lock of the file: whoever comes second waits here and then finds nothing to do.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    apply_missing!(transaction, sqlite, now)
}

async fn apply_postgres(connection: &mut PgConnection, now: Timestamp) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    // Held until the end of the transaction.
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await?;
    apply_missing!(transaction, postgres, now)
}

async fn connect_postgres(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let options = options.clone().disable_statement_logging();
    patiently(async { Ok(options.connect().await?) }).await
}

async fn patiently<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Unavailable(
            "the database did not answer within a minute".to_owned(),
        )),
    }
}
