//! One store copied into another, such as the first SQLite file into PostgreSQL.
//!
//! Every table that a migration makes is copied, row by row, so that none can be forgotten. All of it
//! is one transaction on the target: whatever fails, the target stays empty.

mod side;

use portcullis_common::clock::Clock;
use tokio::sync::mpsc;

use super::url::StoreUrl;
use super::{StoreError, migrations, sqlite};
use side::{Cells, Side, connect_postgres, servers_of};

/// Batches that were read and wait to be written.
const WAITING: usize = 4;

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the two did not do what it was asked.
    #[error("{side}: {cause}")]
    Store {
        /// `source` or `target`.
        side: &'static str,
        /// Why.
        cause: StoreError,
    },
    /// Both addresses are the same.
    #[error("source and target are the same store")]
    SameStore,
    /// There is no such file.
    #[error("source: there is no database at {0}")]
    NoSource(String),
    /// Somebody else works with the source, and would go on writing to it.
    #[error("source: another process has it open; stop every server on it first")]
    SourceInUse,
    /// The target holds something.
    #[error("target: the table {0} is not empty; give a database that nobody has used")]
    TargetNotEmpty(&'static str),
    /// The schemas differ.
    #[error(
        "the schema of the source has {from} migrations and that of the target {to}; run \
         portcullis migrate of one and the same version on the source first"
    )]
    SchemasDiffer {
        /// Migrations of the source.
        from: usize,
        /// Migrations of the target.
        to: usize,
    },
    /// The two tables hold different numbers of rows after all.
    #[error(
        "the table {table} has {from} rows in the source and {to} in the copy; nothing is kept"
    )]
    CountsDiffer {
        /// The table.
        table: &'static str,
        /// Rows of the source.
        from: i64,
        /// Rows of the target.
        to: i64,
    },
}

/// A table, and how many rows of it were copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    /// The table.
    pub name: &'static str,
    /// Its rows.
    pub rows: i64,
}

/// Copies everything from one store into an empty one, which is migrated if it is not, and tells
/// `progress` how many rows of a table were written so far. Addresses are as in `[store] url`.
///
/// Nobody else may write to the source meanwhile: a SQLite file is held alone, the tables of
/// PostgreSQL are locked against writing. Signing keys are copied as they are stored: sealed ones stay
/// sealed under the same key.
pub async fn copy(
    (from, to): (&str, &str),
    clock: &dyn Clock,
    progress: &mut (dyn FnMut(CopiedTable) + Send),
) -> Result<Vec<CopiedTable>, CopyError> {
    if from == to {
        return Err(CopyError::SameStore);
    }
    let (from, to) = (
        StoreUrl::parse(from).map_err(source)?,
        StoreUrl::parse(to).map_err(target)?,
    );
    let mut from = open_source(&from).await?;
    migrations::apply(&to, clock.now()).await.map_err(target)?;
    let mut to = Side::open(&to).await.map_err(target)?;
    let copied = copy_all(&mut from, &mut to, progress).await;
    // A transaction that was not committed ends with its connection, and with all that it wrote.
    from.close().await;
    to.close().await;
    copied
}

/// Opens the source so that nobody else works with it.
async fn open_source(url: &StoreUrl) -> Result<Side, CopyError> {
    match url {
        StoreUrl::Sqlite(path) if !path.exists() => {
            Err(CopyError::NoSource(path.display().to_string()))
        }
        StoreUrl::Sqlite(path) => match sqlite::connect_alone(path).await.map_err(source)? {
            Some(connection) => Ok(Side::Sqlite(connection)),
            None => Err(CopyError::SourceInUse),
        },
        StoreUrl::Postgres(options) => {
            let mut connection = connect_postgres(options).await.map_err(source)?;
            let others = servers_of(&mut connection).await.map_err(source)?;
            if others > 0 {
                return Err(CopyError::SourceInUse);
            }
            Ok(Side::Postgres(connection))
        }
    }
}

async fn copy_all(
    from: &mut Side,
    to: &mut Side,
    progress: &mut (dyn FnMut(CopiedTable) + Send),
) -> Result<Vec<CopiedTable>, CopyError> {
    from.begin("SHARE").await.map_err(source)?;
    to.begin("SHARE ROW EXCLUSIVE").await.map_err(target)?;
    let (ours, theirs) = (
        from.history().await.map_err(source)?,
        to.history().await.map_err(target)?,
    );
    if ours != theirs {
        return Err(CopyError::SchemasDiffer {
            from: ours.len(),
            to: theirs.len(),
        });
    }
    // The migrations themselves put these rows there, and nobody has counted anything yet.
    let seed = "DELETE FROM change_counters WHERE value = 0";
    to.execute(seed).await.map_err(target)?;
    for name in migrations::tables() {
        if to.count(name).await.map_err(target)? > 0 {
            return Err(CopyError::TargetNotEmpty(name));
        }
    }
    let mut copied = Vec::new();
    for name in migrations::tables() {
        copied.push(copy_table(from, to, name, progress).await?);
    }
    to.execute("COMMIT").await.map_err(target)?;
    if matches!(to, Side::Postgres(_)) {
        // Without it the planner would guess until its own turn comes.
        to.execute("ANALYZE").await.map_err(target)?;
    }
    Ok(copied)
}

async fn copy_table(
    from: &mut Side,
    to: &mut Side,
    name: &'static str,
    progress: &mut (dyn FnMut(CopiedTable) + Send),
) -> Result<CopiedTable, CopyError> {
    let columns = from.columns(name).await.map_err(source)?;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let names = names.join(", ");
    let (batches, inbox) = mpsc::channel(WAITING);
    let reading = async {
        let select = format!("SELECT {names} FROM {name}");
        let read = from.read(select, &columns, batches).await;
        read.map_err(source)
    };
    let insert = format!("INSERT INTO {name} ({names}) ");
    let writing = async {
        let written = write(to, &insert, inbox, |rows| {
            progress(CopiedTable { name, rows });
        })
        .await;
        written.map_err(target)
    };
    tokio::try_join!(reading, writing)?;
    let rows = from.count(name).await.map_err(source)?;
    let written = to.count(name).await.map_err(target)?;
    if rows == written {
        return Ok(CopiedTable { name, rows });
    }
    Err(CopyError::CountsDiffer {
        table: name,
        from: rows,
        to: written,
    })
}

async fn write(
    to: &mut Side,
    insert: &str,
    mut inbox: mpsc::Receiver<Vec<Cells>>,
    mut progress: impl FnMut(i64) + Send,
) -> Result<(), StoreError> {
    let mut rows = 0;
    while let Some(batch) = inbox.recv().await {
        rows += i64::try_from(batch.len()).unwrap_or_default();
        to.insert(insert, batch).await?;
        progress(rows);
    }
    Ok(())
}

fn source(cause: StoreError) -> CopyError {
    CopyError::Store {
        side: "source",
        cause,
    }
}

fn target(cause: StoreError) -> CopyError {
    CopyError::Store {
        side: "target",
        cause,
    }
}
