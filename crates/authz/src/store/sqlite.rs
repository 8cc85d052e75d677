//! SQLite: one writer with group commit, and readers beside it.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, SqliteConnection};

use super::engine::{End, Work};
use super::writer::Writer;
use super::{StoreError, files};

/// How long to wait for somebody else's lock before the store counts as not available.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Long enough for a command beside the server, and a server does not go away by itself.
const ALONE_TIMEOUT: Duration = Duration::from_secs(2);
/// Readers per core: measured best, beyond that threads only take turns.
const READERS_PER_CORE: u32 = 2;

/// An open SQLite file.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    writer: Writer,
    readers: SqlitePool,
}

impl Sqlite {
    /// Opens a file whose schema is already right.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = connect_for_writing(path).await?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let readers = SqlitePoolOptions::new()
            .max_connections(u32::try_from(cores).unwrap_or(2) * READERS_PER_CORE)
            .acquire_timeout(BUSY_TIMEOUT)
            // A file does not hang up: asking before each use would only cost a hop.
            .test_before_acquire(false)
            .connect_lazy_with(common_options(path).read_only(true));
        Ok(Self {
            writer: Writer::start(writing_options(path), connection),
            readers,
        })
    }

    /// Runs a body inside a transaction of the writer.
    pub(super) async fn transaction<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, End<T>> + Send + 'static,
    {
        self.writer.transaction(body).await
    }

    /// Runs a body on a reading connection.
    pub(super) async fn read<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send,
    {
        let mut connection = self.readers.acquire().await?;
        body(&mut connection).await
    }

    /// Finishes writes under way and closes every connection.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.stop().await;
    }
}

/// Opens the file for writing, making it if it is missing.
pub(super) async fn connect_for_writing(path: &Path) -> Result<SqliteConnection, StoreError> {
    files::prepare(path)?;
    // Two processes that turn a new file to write-ahead logging at the same moment can see it as
    // locked although the busy timeout is set; the loser tries again.
    let mut attempts = 0_u32;
    loop {
        match writing_options(path)
            .connect()
            .await
            .map_err(StoreError::from)
        {
            Err(StoreError::Unavailable(cause)) if attempts < 50 && cause.contains("locked") => {
                attempts += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            result => return result,
        }
    }
}

/// Opens a file that is there for writing, and keeps every other process from opening it as long as
/// the connection lives; `None` if one has it open.
pub(super) async fn connect_alone(path: &Path) -> Result<Option<SqliteConnection>, StoreError> {
    let options = writing_options(path)
        // In write-ahead logging whoever has the file open holds a lock of it all the time.
        .locking_mode(SqliteLockingMode::Exclusive)
        .busy_timeout(ALONE_TIMEOUT);
    match options.connect().await.map_err(StoreError::from) {
        Ok(connection) => Ok(Some(connection)),
        Err(StoreError::Unavailable(cause)) if cause.contains("locked") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a file that is there for reading, beside whoever writes to it.
pub(super) async fn connect_for_reading(path: &Path) -> Result<SqliteConnection, StoreError> {
    Ok(common_options(path).read_only(true).connect().await?)
}

/// Opens a file that nobody writes to, and leaves no trace beside it.
pub(super) async fn connect_unshared(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = common_options(path).read_only(true).immutable(true);
    Ok(options.connect().await?)
}

fn common_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .disable_statement_logging()
}

fn writing_options(path: &Path) -> SqliteConnectOptions {
    common_options(path)
        .journal_mode(SqliteJournalMode::Wal)
        // A lost commit would let a spent code or a rotated token be used again.
        .synchronous(SqliteSynchronous::Full)
}
