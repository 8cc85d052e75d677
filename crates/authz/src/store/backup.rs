//! Backups of a SQLite file, taken beside a running server and put back without one.
//!
//! PostgreSQL has its own tools for this, and they are better than anything a client could do.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_common::clock::{Clock, Timestamp};
use portcullis_common::config::{MigrateMode, StoreConfig};
use sqlx::{Connection as _, SqliteConnection};

use super::sqlite::{connect_alone, connect_for_reading, connect_unshared};
use super::url::StoreUrl;
use super::{Store, StoreError, files, migrations};

/// Why there is no backup, or why it was not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store is PostgreSQL.
    #[error(
        "the store is PostgreSQL, whose own tools do this: scripts/backup and scripts/restore call \
         pg_dump and pg_restore, and after a restore `portcullis migrate --restored` must be run"
    )]
    NotSqlite,
    /// There is no such file.
    #[error("there is no database at {0}")]
    NoSource(String),
    /// A backup never replaces anything.
    #[error("{0} is there already")]
    Exists(String),
    /// The file is not a whole database of this product.
    #[error("{path} is not a good backup: {cause}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Another process works with the store.
    #[error("another process has {0} open; stop the server first")]
    InUse(String),
    /// The file system refused something.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// Why.
        cause: io::Error,
    },
}

/// Writes the whole store, as it is at one moment, into a new file with mode 0600, checks the file
/// and brings it to the disk. A server may run and write meanwhile.
pub async fn backup(url: &str, to: &Path) -> Result<(), BackupError> {
    let from = sqlite_file(url)?;
    if !from.exists() {
        return Err(BackupError::NoSource(from.display().to_string()));
    }
    let to = std::path::absolute(to).map_err(|cause| file_error(to, cause))?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&to)
        .map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(to.display().to_string()),
            _ => file_error(&to, cause),
        })?;
    let written = write_backup(&from, &to).await;
    if written.is_err() {
        // Half a backup is worse than none.
        let _ = std::fs::remove_file(&to);
    }
    written
}

async fn write_backup(from: &Path, to: &Path) -> Result<(), BackupError> {
    let mut connection = connect_for_reading(from).await?;
    // It takes what one reader sees at one moment, and writers go on.
    let vacuumed = sqlx::query("VACUUM INTO $1")
        .bind(to.display().to_string())
        .execute(&mut connection)
        .await
        .map_err(StoreError::from);
    close(connection).await;
    vacuumed?;
    verify(to).await?;
    sync(to)
}

/// Puts a backup in the place of the store that is configured, and answers where the old one lies, if
/// there was one. What the backup believes live and may have been spent since is marked as over before
/// anybody can open it; see [`Store::mark_restored`].
///
/// No server may run meanwhile, and nothing is touched unless the backup is good. The change itself is
/// one rename: at every moment the old store is there, or the restored one.
pub async fn restore(
    url: &str,
    from: &Path,
    clock: &dyn Clock,
) -> Result<Option<PathBuf>, BackupError> {
    let place = sqlite_file(url)?;
    verify(from).await?;
    let was_there = place.exists();
    if was_there {
        let path = || place.display().to_string();
        match connect_alone(&place).await {
            // Closing as the only one brings everything into the one file.
            Ok(Some(connection)) => close(connection).await,
            Ok(None) => return Err(BackupError::InUse(path())),
            Err(cause) => tracing::warn!(path = path(), %cause, "the old store cannot be opened"),
        }
    }
    let coming = beside(&place, "restoring");
    remove(&coming)?;
    files::prepare(&coming)?;
    pour(from, &coming).map_err(|cause| file_error(&coming, cause))?;
    mark(&coming, clock).await?;
    sync(&coming)?;
    let aside = match was_there {
        true => Some(set_aside(&place, clock.now())?),
        false => None,
    };
    std::fs::rename(&coming, &place).map_err(|cause| file_error(&place, cause))?;
    sync(&place)?;
    Ok(aside)
}

/// Copies the content into a file that is there and keeps its mode.
fn pour(from: &Path, to: &Path) -> io::Result<()> {
    let mut to = OpenOptions::new().write(true).truncate(true).open(to)?;
    io::copy(&mut File::open(from)?, &mut to).map(drop)
}

/// Brings the restored file up to date and marks it, while it lies where nobody looks.
async fn mark(file: &Path, clock: &dyn Clock) -> Result<(), BackupError> {
    let config = StoreConfig {
        url: format!("sqlite://{}", file.display()),
        migrate: MigrateMode::Auto,
    };
    let store = Store::open(&config, clock).await?;
    let marked = store.mark_restored(clock.now()).await;
    store.close().await;
    marked?;
    // Its companions would stay behind under another name.
    match connect_alone(file).await? {
        Some(connection) => close(connection).await,
        None => return Err(BackupError::InUse(file.display().to_string())),
    }
    Ok(())
}

/// Keeps the old file under another name as well; the rename that follows takes away the first one.
fn set_aside(place: &Path, now: Timestamp) -> Result<PathBuf, BackupError> {
    let mut aside = beside(place, &format!("before-restore-{}", now.seconds()));
    let mut number = 1;
    while aside.exists() {
        number += 1;
        aside = beside(place, &format!("before-restore-{}-{number}", now.seconds()));
    }
    std::fs::hard_link(place, &aside).map_err(|cause| file_error(&aside, cause))?;
    // There is none after a clean end; that of a broken file must not be read with the new one.
    let (log, index) = (with_suffix(place, "-wal"), with_suffix(place, "-shm"));
    for moved in [
        std::fs::rename(&log, with_suffix(&aside, "-wal")),
        std::fs::remove_file(&index),
    ] {
        match moved {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(file_error(&log, cause));
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// Whether a file is a whole database whose schema this program knows.
async fn verify(file: &Path) -> Result<(), BackupError> {
    let path = || file.display().to_string();
    if !file.is_file() {
        return Err(BackupError::NoSource(path()));
    }
    let damaged = |cause: String| BackupError::Damaged {
        path: path(),
        cause,
    };
    let sane = async {
        let mut connection = connect_unshared(file).await?;
        let found: Result<Vec<(String,)>, _> = sqlx::query_as("PRAGMA integrity_check")
            .fetch_all(&mut connection)
            .await;
        let history = match found {
            Ok(_) => migrations::sqlite_history(&mut connection).await,
            Err(_) => Ok(Vec::new()),
        };
        close(connection).await;
        Ok::<_, StoreError>((found?, history?))
    };
    let (found, history) = sane.await.map_err(|error| damaged(error.to_string()))?;
    if let Some((word,)) = found.first().filter(|(word,)| word != "ok") {
        return Err(damaged(word.clone()));
    }
    match migrations::is_known(&history) {
        Ok(true) => Ok(()),
        Ok(false) => Err(damaged(
            "it is of a newer version of this program".to_owned(),
        )),
        Err(error) => Err(damaged(error.to_string())),
    }
}

fn sqlite_file(url: &str) -> Result<PathBuf, BackupError> {
    match StoreUrl::parse(url)? {
        StoreUrl::Sqlite(path) => Ok(path),
        StoreUrl::Postgres(_) => Err(BackupError::NotSqlite),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn beside(path: &Path, word: &str) -> PathBuf {
    with_suffix(path, &format!(".{word}"))
}

/// What an earlier attempt left behind.
fn remove(path: &Path) -> Result<(), BackupError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = with_suffix(path, suffix);
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(file_error(&path, cause));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Brings a file, and its name in the folder, to the disk.
fn sync(path: &Path) -> Result<(), BackupError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    for each in [path, folder.unwrap_or(Path::new("."))] {
        File::open(each)
            .and_then(|file| file.sync_all())
            .map_err(|cause| file_error(each, cause))?;
    }
    Ok(())
}

async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "a connection did not close");
    }
}

fn file_error(path: &Path, cause: io::Error) -> BackupError {
    BackupError::File {
        path: path.display().to_string(),
        cause,
    }
}
