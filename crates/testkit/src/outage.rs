//! A database that fails in ways which both engines know, and everything that it holds.

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::database::TestDatabase;

/// How a database fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// No table can be found.
    Unreadable,
    /// Every table can be read, and no row written.
    Unwritable,
}

impl TestDatabase {
    /// Begins an outage.
    pub async fn breaks(&self, outage: Outage) {
        self.change(outage, true).await;
    }

    /// Ends an outage.
    pub async fn heals(&self, outage: Outage) {
        self.change(outage, false).await;
    }

    async fn change(&self, outage: Outage, begins: bool) {
        let is_file = self.file().is_some();
        let mut script = "BEGIN;".to_owned();
        if !is_file && outage == Outage::Unwritable && begins {
            script += "CREATE OR REPLACE FUNCTION away() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN RAISE EXCEPTION 'away'; END $$;";
        }
        for table in self.tables().await {
            let table = table.strip_prefix("away_").unwrap_or(&table);
            let change = if begins { beginning } else { end };
            script.push_str(&change(outage, table, is_file));
        }
        self.execute(&(script + "COMMIT;")).await;
    }

    /// Every row of every table as text, in an order that does not change.
    pub async fn contents(&self) -> Vec<String> {
        let mut contents = Vec::new();
        for table in self.tables().await {
            let row = if self.file().is_some() {
                let question = format!("SELECT name FROM pragma_table_info('{table}')");
                let columns = self.texts(&question).await;
                let quoted: Vec<_> = columns
                    .iter()
                    .map(|name| format!("quote({name})"))
                    .collect();
                quoted.join(" || ',' || ")
            } else {
                "row::text".to_owned()
            };
            let question = format!("SELECT '{table}: ' || {row} FROM {table} AS row");
            contents.extend(self.texts(&question).await);
        }
        contents.sort();
        contents
    }

    async fn tables(&self) -> Vec<String> {
        let question = if self.file().is_some() {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        } else {
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"
        };
        self.texts(question).await
    }

    async fn texts(&self, question: &str) -> Vec<String> {
        let question = AssertSqlSafe(question.to_owned());
        let rows: Vec<(String,)> = if let Some(file) = self.file() {
            let options = SqliteConnectOptions::new().filename(file);
            let mut connection = options.connect().await.unwrap();
            let rows = sqlx::query_as(question).fetch_all(&mut connection).await;
            connection.close().await.unwrap();
            rows.unwrap()
        } else {
            let options: PgConnectOptions = self.config().url.parse().unwrap();
            let mut connection = options.connect().await.unwrap();
            let rows = sqlx::query_as(question).fetch_all(&mut connection).await;
            connection.close().await.unwrap();
            rows.unwrap()
        };
        rows.into_iter().map(|(text,)| text).collect()
    }
}

const EVENTS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];

/// How an outage of one table begins.
fn beginning(outage: Outage, table: &str, is_file: bool) -> String {
    match outage {
        Outage::Unreadable => format!("ALTER TABLE {table} RENAME TO away_{table};"),
        Outage::Unwritable if is_file => EVENTS
            .map(|event| {
                format!(
                    "CREATE TRIGGER away_{table}_{event} BEFORE {event} ON {table}
                     BEGIN SELECT RAISE(ABORT, 'away'); END;"
                )
            })
            .concat(),
        Outage::Unwritable => format!(
            "CREATE TRIGGER away BEFORE INSERT OR UPDATE OR DELETE ON {table}
             EXECUTE FUNCTION away();"
        ),
    }
}

/// How it ends.
fn end(outage: Outage, table: &str, is_file: bool) -> String {
    match outage {
        Outage::Unreadable => format!("ALTER TABLE away_{table} RENAME TO {table};"),
        Outage::Unwritable if is_file => EVENTS
            .map(|event| format!("DROP TRIGGER away_{table}_{event};"))
            .concat(),
        Outage::Unwritable => format!("DROP TRIGGER away ON {table};"),
    }
}
