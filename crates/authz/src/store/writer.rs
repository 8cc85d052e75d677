//! The one writer of a SQLite file.
//!
//! Callers hand in commands over a bounded channel. Whatever waits is run as one transaction, each
//! command in its own savepoint, and the answers go out only after the commit. So a write costs a
//! share of one `fsync`, and an answer still means that the write is on the disk.

use std::fmt;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::engine::{End, Work};
use super::sqlite::BUSY_TIMEOUT;

/// Most commands of one transaction.
const MAX_BATCH: usize = 64;
/// Most commands that wait; beyond that callers wait to hand theirs in.
const QUEUE: usize = 1024;

/// The handle by which commands reach the writer.
#[derive(Clone)]
pub(super) struct Writer {
    messages: mpsc::Sender<Message>,
}

enum Message {
    Run(Box<dyn Command>),
    Stop(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the task that owns the connection; it ends with the last handle.
    pub(super) fn start(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        let (messages, inbox) = mpsc::channel(QUEUE);
        let task = Task {
            options,
            connection: Some(connection),
        };
        tokio::spawn(task.run(inbox));
        Self { messages }
    }

    /// Runs a body inside a transaction and answers after its commit.
    pub(super) async fn transaction<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, End<T>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let command = Pending {
            body: Some(body),
            outcome: None,
            reply,
        };
        let stopped = || StoreError::Unavailable("the store is closed".to_owned());
        let exchange = async {
            let message = Message::Run(Box::new(command));
            self.messages.send(message).await.map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())?
        };
        // A little longer than the lock is waited for, so that its own error comes first.
        match tokio::time::timeout(BUSY_TIMEOUT + Duration::from_millis(300), exchange).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable(
                "the database is locked or overloaded".to_owned(),
            )),
        }
    }

    /// Runs what waits, closes the connection and ends the task.
    pub(super) async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.messages.send(Message::Stop(reply)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Writer")
    }
}

/// A write that waits for its transaction.
trait Command: Send {
    /// Whether nobody waits for the answer any more; such a command must not run, because its
    /// caller has already been told that the store is not available.
    fn is_abandoned(&self) -> bool;

    /// Does the work; `true` if it stays.
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> Work<'c, bool>;

    /// Answers, once it is known whether the transaction was committed.
    fn answer(self: Box<Self>, committed: &Result<(), StoreError>);
}

struct Pending<T, F> {
    body: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Command for Pending<T, F>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, End<T>> + Send + 'static,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> Work<'c, bool> {
        Box::pin(async move {
            let Some(body) = self.body.take() else {
                return Ok(false);
            };
            let (keep, outcome) = match body(connection).await {
                Ok(End::Keep(value)) => (true, Ok(value)),
                Ok(End::Undo(value)) => (false, Ok(value)),
                // The database itself fails: the whole transaction does.
                Err(StoreError::Unavailable(cause)) => return Err(StoreError::Unavailable(cause)),
                Err(error) => (false, Err(error)),
            };
            self.outcome = Some(outcome);
            Ok(keep)
        })
    }

    fn answer(self: Box<Self>, committed: &Result<(), StoreError>) {
        let result = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Refused("a command did not run".to_owned())),
            (Err(error), _) => Err(error.clone()),
        };
        // The caller may have gone meanwhile; the write stands all the same.
        let _ = self.reply.send(result);
    }
}

struct Task {
    options: SqliteConnectOptions,
    /// Gone after a failure that may have hurt it; the next batch opens a new one.
    connection: Option<SqliteConnection>,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(MAX_BATCH);
        let mut stopping = Vec::new();
        while stopping.is_empty() && inbox.recv_many(&mut messages, MAX_BATCH).await > 0 {
            let mut batch = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Run(command) if command.is_abandoned() => drop(command),
                    Message::Run(command) => batch.push(command),
                    Message::Stop(reply) => stopping.push(reply),
                }
            }
            if !batch.is_empty() {
                self.run_batch(batch).await;
            }
        }
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
        for reply in stopping {
            let _ = reply.send(());
        }
    }

    async fn run_batch(&mut self, mut batch: Vec<Box<dyn Command>>) {
        let result = match self.connect().await {
            Ok(mut connection) => {
                let result = commit_batch(&mut connection, &mut batch).await;
                if result.is_ok() || rolled_back(&mut connection).await {
                    self.connection = Some(connection);
                }
                result
            }
            Err(error) => Err(error),
        };
        for command in batch {
            command.answer(&result);
        }
    }

    async fn connect(&mut self) -> Result<SqliteConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Ok(self.options.connect().await?),
        }
    }
}

async fn commit_batch(
    connection: &mut SqliteConnection,
    batch: &mut [Box<dyn Command>],
) -> Result<(), StoreError> {
    // IMMEDIATE: the lock is taken at once, so that waiting for it happens here and nowhere else.
    execute(connection, "BEGIN IMMEDIATE").await?;
    // Waiting for the lock takes time in which callers give up.
    let mut waiting = batch.iter_mut().filter(|command| !command.is_abandoned());
    if let (Some(command), None) = (waiting.next(), waiting.next()) {
        // Alone, a command needs no savepoint: the transaction is one.
        let keep = command.run(connection).await?;
        return execute(connection, if keep { "COMMIT" } else { "ROLLBACK" }).await;
    }
    for command in batch.iter_mut().filter(|command| !command.is_abandoned()) {
        execute(connection, "SAVEPOINT command").await?;
        if !command.run(connection).await? {
            execute(connection, "ROLLBACK TO command").await?;
        }
        execute(connection, "RELEASE command").await?;
    }
    execute(connection, "COMMIT").await
}

/// Ends a failed transaction; `false` if the connection is not fit for another.
async fn rolled_back(connection: &mut SqliteConnection) -> bool {
    match execute(connection, "ROLLBACK").await {
        Ok(()) => true,
        // There was none to end: it never began, or SQLite ended it by itself.
        Err(error) => matches!(error, StoreError::Refused(_)),
    }
}

async fn execute(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), StoreError> {
    sqlx::query(statement).execute(connection).await?;
    Ok(())
}
