//! PostgreSQL: a pool, and a limit on how long anything may take.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Acquire as _, ConnectOptions as _, PgConnection};

use super::StoreError;
use super::engine::{End, Work};

/// A server that is away or frozen is an answer within two seconds, whatever hangs.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(1800);
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1500);
/// The server ends what we no longer wait for.
const STATEMENT_TIMEOUT: &str = "1700ms";
const CONNECTIONS_PER_CORE: u32 = 4;

/// A PostgreSQL database.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    pool: PgPool,
}

impl Postgres {
    /// Prepares a pool; connections are made when they are needed.
    pub(super) fn open(options: &PgConnectOptions) -> Self {
        let options = options
            .clone()
            .application_name("portcullis")
            .options([
                ("statement_timeout", STATEMENT_TIMEOUT),
                ("idle_in_transaction_session_timeout", "10s"),
            ])
            .disable_statement_logging();
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let pool = PgPoolOptions::new()
            .max_connections((u32::try_from(cores).unwrap_or(2) * CONNECTIONS_PER_CORE).max(8))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Self { pool }
    }

    /// Runs a body inside a transaction.
    pub(super) async fn transaction<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, End<T>> + Send + 'static,
    {
        self.run(move |connection| {
            Box::pin(async move {
                let mut transaction = connection.begin().await?;
                match body(&mut transaction).await? {
                    End::Keep(value) => {
                        transaction.commit().await?;
                        Ok(value)
                    }
                    End::Undo(value) => {
                        transaction.rollback().await?;
                        Ok(value)
                    }
                }
            })
        })
        .await
    }

    /// Runs a body outside a transaction.
    pub(super) async fn read<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send,
    {
        self.run(body).await
    }

    async fn run<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send,
    {
        let mut connection = None;
        let work = async {
            let acquired = connection.insert(self.pool.acquire().await?);
            body(acquired).await
        };
        let result = tokio::time::timeout(OPERATION_TIMEOUT, work).await;
        if let Ok(result) = result {
            return result;
        }
        // Back in the pool it would be asked whether it still works, and a frozen server leaves
        // that open for ever; so it is closed, which has a limit of its own.
        if let Some(connection) = &mut connection {
            connection.close_on_drop();
        }
        Err(StoreError::Unavailable(
            "the database did not answer in time".to_owned(),
        ))
    }

    /// Closes every connection.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
