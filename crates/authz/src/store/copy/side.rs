//! One of the two stores of a copy: its rows as values of the two types that the schema knows.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use sqlx::postgres::PgConnectOptions;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, QueryBuilder,
    Row as _, SqliteConnection,
};
use tokio::sync::mpsc;

use crate::store::url::StoreUrl;
use crate::store::{StoreError, migrations, sqlite};

/// Rows of one statement.
const BATCH: usize = 500;

/// A column and how its values travel.
pub(super) struct Column {
    pub(super) name: String,
    is_integer: bool,
}

impl Column {
    fn new((name, kind): (String, String)) -> Self {
        Self {
            name,
            is_integer: kind.to_ascii_uppercase().contains("INT"),
        }
    }
}

/// A value of one of the two types that the schema knows.
pub(super) enum Cell {
    Text(Option<String>),
    Integer(Option<i64>),
}

pub(super) type Cells = Vec<Cell>;

/// One connection, with a transaction from [`Side::begin`] on.
pub(super) enum Side {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// The same body, once for each engine.
macro_rules! on {
    ($side:expr, |$connection:ident| $body:expr) => {
        match $side {
            Side::Sqlite($connection) => $body,
            Side::Postgres($connection) => $body,
        }
    };
}

impl Side {
    pub(super) async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        Ok(match url {
            StoreUrl::Sqlite(path) => Self::Sqlite(sqlite::connect_for_writing(path).await?),
            StoreUrl::Postgres(options) => Self::Postgres(connect_postgres(options).await?),
        })
    }

    pub(super) async fn close(self) {
        let _ = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        };
    }

    /// Begins a transaction that keeps others from writing.
    pub(super) async fn begin(&mut self, lock: &str) -> Result<(), StoreError> {
        if matches!(self, Self::Sqlite(_)) {
            return self.execute("BEGIN IMMEDIATE").await;
        }
        self.execute("BEGIN").await?;
        self.execute("SET LOCAL lock_timeout = '5s'").await?;
        let tables: Vec<_> = migrations::tables().collect();
        let lock = format!("LOCK TABLE {} IN {lock} MODE", tables.join(", "));
        self.execute(&lock).await
    }

    pub(super) async fn execute(&mut self, statement: &str) -> Result<(), StoreError> {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        on!(self, |connection| connection
            .execute(statement)
            .await
            .map(drop))?;
        Ok(())
    }

    pub(super) async fn count(&mut self, table: &str) -> Result<i64, StoreError> {
        let question = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let (rows,): (i64,) = on!(self, |connection| {
            sqlx::query_as(question).fetch_one(connection).await
        })?;
        Ok(rows)
    }

    /// Version and checksum of every migration.
    pub(super) async fn history(&mut self) -> Result<Vec<(i64, String)>, StoreError> {
        const HISTORY: &str = "SELECT version, checksum FROM schema_migrations ORDER BY version";
        Ok(on!(self, |connection| {
            sqlx::query_as(HISTORY).fetch_all(connection).await
        })?)
    }

    pub(super) async fn columns(&mut self, table: &str) -> Result<Vec<Column>, StoreError> {
        let rows: Vec<(String, String)> = match self {
            Self::Sqlite(connection) => {
                sqlx::query_as("SELECT name, type FROM pragma_table_info($1) ORDER BY cid")
                    .bind(table)
                    .fetch_all(connection)
                    .await?
            }
            Self::Postgres(connection) => {
                sqlx::query_as(
                    "SELECT column_name::text, data_type::text
                       FROM information_schema.columns
                      WHERE table_schema = current_schema() AND table_name = $1
                      ORDER BY ordinal_position",
                )
                .bind(table)
                .fetch_all(connection)
                .await?
            }
        };
        Ok(rows.into_iter().map(Column::new).collect())
    }

    /// Hands on every row, in batches.
    pub(super) async fn read(
        &mut self,
        select: String,
        columns: &[Column],
        batches: mpsc::Sender<Vec<Cells>>,
    ) -> Result<(), StoreError> {
        let mut batch = Vec::with_capacity(BATCH);
        on!(self, |connection| {
            let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(connection);
            while let Some(row) = next(&mut rows).await {
                let row = row?;
                let mut cells = Vec::with_capacity(columns.len());
                for (index, column) in columns.iter().enumerate() {
                    cells.push(match column.is_integer {
                        true => Cell::Integer(row.try_get(index)?),
                        false => Cell::Text(row.try_get(index)?),
                    });
                }
                batch.push(cells);
                if batch.len() == BATCH {
                    // A writer that is gone has its own error to tell.
                    let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
                    let _ = batches.send(full).await;
                }
            }
        });
        if !batch.is_empty() {
            let _ = batches.send(batch).await;
        }
        Ok(())
    }

    pub(super) async fn insert(
        &mut self,
        insert: &str,
        rows: Vec<Cells>,
    ) -> Result<(), StoreError> {
        on!(self, |connection| {
            let mut statement = QueryBuilder::new(insert);
            statement.push_values(rows, |mut values, cells| {
                for cell in cells {
                    match cell {
                        Cell::Text(text) => values.push_bind(text),
                        Cell::Integer(integer) => values.push_bind(integer),
                    };
                }
            });
            statement.build().execute(connection).await.map(drop)
        })?;
        Ok(())
    }
}

async fn next<S: Stream + ?Sized>(rows: &mut Pin<Box<S>>) -> Option<S::Item> {
    poll_fn(|context| rows.as_mut().poll_next(context)).await
}

pub(super) async fn connect_postgres(
    options: &PgConnectOptions,
) -> Result<PgConnection, StoreError> {
    Ok(options
        .clone()
        .disable_statement_logging()
        .connect()
        .await?)
}

/// How many connections servers have to this database.
pub(super) async fn servers_of(connection: &mut PgConnection) -> Result<i64, StoreError> {
    let (servers,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*)
           FROM pg_stat_activity
          WHERE datname = current_database()
            AND application_name = 'portcullis'",
    )
    .fetch_one(connection)
    .await?;
    Ok(servers)
}
