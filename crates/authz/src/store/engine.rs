//! What the two engines spell differently.

use std::future::Future;
use std::pin::Pin;

use super::StoreError;
use super::postgres::Postgres;
use super::sqlite::Sqlite;

/// The engine behind a store.
#[derive(Clone, Debug)]
pub(super) enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// A boxed future that borrows a connection.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>;

/// How a transaction ends, with its answer.
#[derive(Debug)]
pub(super) enum End<T> {
    /// What was written stays.
    Keep(T),
    /// What was written is undone: a precondition did not hold.
    Undo(T),
}

/// Runs one transaction that may write: the same body, once for each engine.
///
/// The body sees a connection, yields an [`End`] or a [`StoreError`], and owns what it uses.
macro_rules! transaction {
    ($store:expr, |$connection:ident| $body:block) => {
        match &$store.engine {
            crate::store::engine::Engine::Sqlite(engine) => {
                engine
                    .transaction(move |$connection: &mut sqlx::SqliteConnection| {
                        Box::pin(async move { $body })
                    })
                    .await
            }
            crate::store::engine::Engine::Postgres(engine) => {
                engine
                    .transaction(move |$connection: &mut sqlx::PgConnection| {
                        Box::pin(async move { $body })
                    })
                    .await
            }
        }
    };
}

/// Runs one reading statement: the same body, once for each engine.
macro_rules! read {
    ($store:expr, |$connection:ident| $body:block) => {
        match &$store.engine {
            crate::store::engine::Engine::Sqlite(engine) => {
                engine
                    .read(move |$connection: &mut sqlx::SqliteConnection| {
                        Box::pin(async move { $body })
                    })
                    .await
            }
            crate::store::engine::Engine::Postgres(engine) => {
                engine
                    .read(move |$connection: &mut sqlx::PgConnection| {
                        Box::pin(async move { $body })
                    })
                    .await
            }
        }
    };
}

/// Defines the struct of a row and how it is read by column name on both engines.
macro_rules! row {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident {
        $($field:ident: $type:ty),+ $(,)?
    }) => {
        $(#[$attribute])*
        $visibility struct $name { $($field: $type),+ }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            &'static str: sqlx::ColumnIndex<R>,
            $($type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)+
        {
            fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
                Ok(Self { $($field: row.try_get(stringify!($field))?),+ })
            }
        }
    };
}

pub(super) use {read, row, transaction};

/// Two rows that one statement joined; their columns have different names.
pub(super) struct Joined<A, B>(pub(super) A, pub(super) B);

impl<'r, R, A, B> sqlx::FromRow<'r, R> for Joined<A, B>
where
    R: sqlx::Row,
    A: sqlx::FromRow<'r, R>,
    B: sqlx::FromRow<'r, R>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self(A::from_row(row)?, B::from_row(row)?))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable(error.to_string()),
            sqlx::Error::Database(cause) if is_outage(cause.as_ref()) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Refused(error.to_string()),
        }
    }
}

/// Whether the database failed as a whole, rather than refused what it was asked.
fn is_outage(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    if error
        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
        .is_some()
    {
        // The low byte of an extended result code is the primary one.
        return code
            .parse::<u32>()
            .is_ok_and(|code| is_sqlite_outage(code & 0xff));
    }
    is_postgres_outage(&code)
}

/// Busy, locked, no memory, read-only, interrupted, input or output failed, malformed, full, cannot
/// open, not a database.
const fn is_sqlite_outage(primary_code: u32) -> bool {
    matches!(primary_code, 5..=11 | 13 | 14 | 26)
}

/// By class of SQLSTATE: connection, authorization, unknown database, serialisation, resources,
/// lock not available, operator intervention, system error; and a server that has become a standby.
fn is_postgres_outage(code: &str) -> bool {
    ["08", "28", "3D", "40", "53", "55", "57", "58", "25006"]
        .iter()
        .any(|prefix| code.starts_with(prefix))
}
