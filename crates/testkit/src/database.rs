//! A fresh database for every test, on both engines.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_common::config::{MigrateMode, StoreConfig};
use portcullis_common::secret::SecretHash;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Names the PostgreSQL server whose databases tests may make.
const SERVER: &str = "PORTCULLIS_TEST_POSTGRES_URL";
/// When set, a missing server is a failure instead of a skipped half.
const REQUIRED: &str = "PORTCULLIS_TEST_REQUIRE_POSTGRES";

/// A database that nobody else uses.
#[derive(Debug)]
pub struct TestDatabase {
    config: StoreConfig,
    folder: Option<TempDir>,
}

impl TestDatabase {
    /// A SQLite file that does not exist yet, in a folder that ends with this value.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/portcullis.db");
        Self {
            config: config(format!("sqlite://{}", path.display())),
            folder: Some(folder),
        }
    }

    /// An empty PostgreSQL database; `None`, with a line on standard error, if no server is named.
    pub async fn postgres() -> Option<Self> {
        let server = server()?;
        let name = format!("portcullis_{}", unique());
        let options: PgConnectOptions = server.as_str().parse().unwrap();
        let mut connection = options.connect().await.expect("the named server answers");
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let mut url = server;
        url.set_path(&name);
        Some(Self {
            config: config(url.into()),
            folder: None,
        })
    }

    /// How a server would be configured to use it.
    pub fn config(&self) -> StoreConfig {
        self.config.clone()
    }

    /// The file, if this is SQLite.
    pub fn file(&self) -> Option<PathBuf> {
        self.folder
            .as_ref()
            .map(|folder| folder.path().join("data/portcullis.db"))
    }

    /// Does to the database what an operator with a shell could do, in one statement or several.
    pub async fn execute(&self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        if let Some(file) = self.file() {
            let options = SqliteConnectOptions::new().filename(file);
            let mut connection = options.connect().await.unwrap();
            sqlx::raw_sql(statement)
                .execute(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
        } else {
            let options: PgConnectOptions = self.config.url.parse().unwrap();
            let mut connection = options.connect().await.unwrap();
            sqlx::raw_sql(statement)
                .execute(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
        }
    }

    /// The number that a question yields, such as `SELECT COUNT(*) …`.
    pub async fn count(&self, question: &str) -> i64 {
        let question = AssertSqlSafe(question.to_owned());
        let row: (i64,) = if let Some(file) = self.file() {
            let options = SqliteConnectOptions::new().filename(file);
            let mut connection = options.connect().await.unwrap();
            let row = sqlx::query_as(question).fetch_one(&mut connection).await;
            connection.close().await.unwrap();
            row.unwrap()
        } else {
            let options: PgConnectOptions = self.config.url.parse().unwrap();
            let mut connection = options.connect().await.unwrap();
            let row = sqlx::query_as(question).fetch_one(&mut connection).await;
            connection.close().await.unwrap();
            row.unwrap()
        };
        row.0
    }

    /// Every byte the engine keeps for this database that a thief of a backup would get: the files
    /// of SQLite, or each row of each table of PostgreSQL as text.
    pub async fn dump(&self) -> Vec<u8> {
        match self.file() {
            Some(file) => ["", "-wal"]
                .iter()
                .filter_map(|suffix| std::fs::read(format!("{}{suffix}", file.display())).ok())
                .flatten()
                .collect(),
            None => dump_postgres(&self.config.url).await,
        }
    }
}

async fn dump_postgres(url: &str) -> Vec<u8> {
    let options: PgConnectOptions = url.parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    let tables: Vec<(String,)> =
        sqlx::query_as("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let mut dump = Vec::new();
    for (table,) in tables {
        let select = AssertSqlSafe(format!("SELECT row::text FROM {table} AS row"));
        let rows: Vec<(String,)> = sqlx::query_as(select)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        dump.extend(rows.into_iter().flat_map(|(row,)| row.into_bytes()));
    }
    dump
}

fn config(url: String) -> StoreConfig {
    StoreConfig {
        url,
        migrate: MigrateMode::Auto,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment where PostgreSQL is"
)]
fn server() -> Option<Url> {
    if let Ok(url) = std::env::var(SERVER) {
        return Some(
            url.parse()
                .expect("the address of the test server is a URL"),
        );
    }
    assert!(
        std::env::var_os(REQUIRED).is_none(),
        "{REQUIRED} is set and {SERVER} is not"
    );
    skip();
    None
}

#[expect(clippy::print_stderr, reason = "a skipped half must be seen")]
fn skip() {
    eprintln!("skipped on PostgreSQL: {SERVER} is not set");
}

/// A number no other test of this or another process uses.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = tempfile::tempdir().unwrap();
    let random = folder.path().file_name().unwrap().to_string_lossy();
    // Database names are folded to lower case, so the letters go in as numbers.
    let hex = SecretHash::of(&random).to_hex();
    format!("{hex:.16}_{}", COUNT.fetch_add(1, Ordering::SeqCst))
}

/// Somebody else who holds the write lock of a SQLite file, until this value is released.
#[derive(Debug)]
pub struct ForeignLock(SqliteConnection);

impl ForeignLock {
    /// Takes the lock.
    pub async fn take(file: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(file);
        let mut connection = options.connect().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    /// Gives the lock back.
    pub async fn release(self) {
        self.0.close().await.unwrap();
    }
}

/// What a link to the database does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It passes them on.
    Up,
    /// It keeps them; nothing is closed and nothing arrives.
    Frozen,
    /// Connections are closed, new ones refused.
    Down,
}

/// A network between the store and a PostgreSQL server that can be frozen and cut.
#[derive(Debug)]
pub struct FaultyLink {
    state: watch::Sender<Link>,
    database: TestDatabase,
}

impl FaultyLink {
    /// Lays a link in front of a PostgreSQL database.
    pub async fn to(database: &TestDatabase) -> Self {
        let mut url: Url = database.config.url.parse().unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        let (state, watcher) = watch::channel(Link::Up);
        tokio::spawn(accept(listener, server, watcher));
        Self {
            state,
            database: TestDatabase {
                config: config(url.into()),
                folder: None,
            },
        }
    }

    /// The database as it is seen through the link.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Changes what the link does, and waits until it does so.
    pub async fn set(&self, state: Link) {
        self.state.send(state).unwrap();
        tokio::task::yield_now().await;
    }
}

async fn accept(listener: TcpListener, server: String, mut state: watch::Receiver<Link>) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    loop {
        if *state.borrow_and_update() == Link::Down {
            listener = None;
            if state.changed().await.is_err() {
                return;
            }
            continue;
        }
        if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.unwrap());
        }
        let Some(open) = &listener else { return };
        tokio::select! {
            accepted = open.accept() => {
                let (near, _) = accepted.unwrap();
                tokio::spawn(pass(near, server.clone(), state.clone()));
            }
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

async fn pass(mut near: TcpStream, server: String, mut state: watch::Receiver<Link>) {
    let mut far = TcpStream::connect(server).await.unwrap();
    loop {
        let now = *state.borrow_and_update();
        match now {
            Link::Down => return,
            Link::Frozen => {
                if state.changed().await.is_err() {
                    return;
                }
            }
            Link::Up => tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                changed = state.changed() => if changed.is_err() { return },
            },
        }
    }
}

/// Makes two tests of one body, named `…::sqlite` and `…::postgres`, each with a database of its
/// own.
#[macro_export]
macro_rules! on_both_engines {
    ($($(#[$attribute:meta])* async fn $name:ident($database:ident) $body:block)+) => {
        $(
            mod $name {
                use super::*;

                $(#[$attribute])*
                async fn check($database: $crate::database::TestDatabase) $body

                #[tokio::test]
                async fn sqlite() {
                    check($crate::database::TestDatabase::sqlite()).await;
                }

                #[tokio::test]
                async fn postgres() {
                    if let Some(database) = $crate::database::TestDatabase::postgres().await {
                        check(database).await;
                    }
                }
            }
        )+
    };
}
