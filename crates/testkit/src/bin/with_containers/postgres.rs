//! The PostgreSQL in which the tests make their databases.

use std::time::Duration;

use portcullis_common::entropy::{SystemEntropy, random_text};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use testcontainers::ImageExt as _;

use crate::engine::{Engine, Failure, Running};
use crate::images::POSTGRES;
use crate::patience;

const USER: &str = "portcullis";
const LONGEST_START: Duration = Duration::from_mins(2);
/// Durability is off: the data lives for one run.
const COMMAND: [&str; 9] = [
    "postgres",
    "-c",
    "max_connections=400",
    "-c",
    "fsync=off",
    "-c",
    "synchronous_commit=off",
    "-c",
    "full_page_writes=off",
];

/// A container that accepts connections.
pub(crate) struct Postgres {
    url: String,
    /// Gone when this is.
    _running: Running,
}

impl Postgres {
    /// Starts it as docker-compose.yml does, with a password of its own.
    pub(crate) async fn start(engine: &Engine) -> Result<Self, Failure> {
        let password = random_text::<16>(&SystemEntropy)?;
        let running = engine
            .start(POSTGRES, 5432, |request| {
                request
                    .with_cmd(COMMAND)
                    .with_env_var("POSTGRES_USER", USER)
                    .with_env_var("POSTGRES_DB", USER)
                    .with_env_var("POSTGRES_PASSWORD", &password)
                    .with_env_var(
                        "POSTGRES_INITDB_ARGS",
                        "--auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8",
                    )
            })
            .await?;
        let port = running.port;
        let url = format!("postgres://{USER}:{password}@127.0.0.1:{port}/{USER}");
        wait(&running, &url).await?;
        Ok(Self {
            url,
            _running: running,
        })
    }

    /// Where it is, with the password.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many databases the tests made.
    pub(crate) async fn databases(&self) -> Result<i64, Failure> {
        let mut connection = connect(&self.url).await?;
        let question = "SELECT COUNT(*) FROM pg_database WHERE datname LIKE 'portcullis\\_%'";
        let count = sqlx::query_scalar(question).fetch_one(&mut connection);
        let count = count.await?;
        connection.close().await?;
        Ok(count)
    }
}

async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    url.parse::<PgConnectOptions>()?.connect().await
}

/// Waits for a login. The image listens on the network once its database has been made, not before.
async fn wait(running: &Running, url: &str) -> Result<(), Failure> {
    let outcome = patience::until(LONGEST_START, || log_in(running, url)).await;
    let cause = match outcome {
        Some(Ok(())) => return Ok(()),
        Some(Err(cause)) => cause.to_string(),
        None => format!("no login within {} s", LONGEST_START.as_secs()),
    };
    let log = running.container.stderr_to_vec().await.unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    Err(POSTGRES.fails(format!("{cause}; it says: {}", log.trim())))
}

/// `None` while it may still come up.
async fn log_in(running: &Running, url: &str) -> Option<Result<(), sqlx::Error>> {
    match connect(url).await {
        Ok(connection) => Some(connection.close().await),
        Err(_) if running.container.is_running().await.unwrap_or(false) => None,
        Err(cause) => Some(Err(cause)),
    }
}
