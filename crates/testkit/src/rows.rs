//! Everything a database holds, in one form for both engines.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::database::TestDatabase;

/// The columns of every table but the history of the schema.
const SQLITE_COLUMNS: &str = "
    SELECT t.name, c.name
      FROM sqlite_schema t, pragma_table_info(t.name) c
     WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'schema_migrations'
     ORDER BY t.name, c.name";
const POSTGRES_COLUMNS: &str = "
    SELECT table_name::text, column_name::text
      FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name <> 'schema_migrations'
     ORDER BY table_name, column_name";

/// The same body with a connection of either engine.
macro_rules! with_connection {
    ($database:expr, |$connection:ident, $is_sqlite:ident| $body:block) => {
        if let Some(file) = $database.file() {
            let options = SqliteConnectOptions::new().filename(file);
            let (mut $connection, $is_sqlite) = (options.connect().await.unwrap(), true);
            let result = $body;
            $connection.close().await.unwrap();
            result
        } else {
            let options: PgConnectOptions = $database.config().url.parse().unwrap();
            let (mut $connection, $is_sqlite) = (options.connect().await.unwrap(), false);
            let result = $body;
            $connection.close().await.unwrap();
            result
        }
    };
}

impl TestDatabase {
    /// Every row of every table as a line of names and values, sorted; the history of the schema is
    /// left out.
    pub async fn rows(&self) -> BTreeMap<String, Vec<String>> {
        with_connection!(self, |connection, is_sqlite| {
            let question = if is_sqlite {
                SQLITE_COLUMNS
            } else {
                POSTGRES_COLUMNS
            };
            let columns: Vec<(String, String)> = sqlx::query_as(question)
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (table, column) in columns {
                tables.entry(table).or_default().push(format!(
                    "'{column}=' || COALESCE(CAST({column} AS TEXT), 'null')"
                ));
            }
            let mut rows = BTreeMap::new();
            for (table, columns) in tables {
                let select = format!("SELECT {} FROM {table}", columns.join(" || ' ' || "));
                let lines: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(select))
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
                let mut lines: Vec<_> = lines.into_iter().map(|(line,)| line).collect();
                lines.sort();
                rows.insert(table, lines);
            }
            rows
        })
    }
}
