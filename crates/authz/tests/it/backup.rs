//! Backups of a SQLite file, and putting them back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_authz::store::{self, BackupError, Store};
use portcullis_testkit::authz::{Authz, BASIC};
use portcullis_testkit::clock::ManualClock;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{Approve, People, Tokens};

use crate::verify;

async fn backup(database: &TestDatabase, name: &str) -> Result<PathBuf, BackupError> {
    let file = database.file().unwrap().with_file_name(name);
    store::backup(&database.config().url, &file)
        .await
        .map(|()| file)
}

async fn restore(database: &TestDatabase, file: &Path) -> Result<Option<PathBuf>, BackupError> {
    store::restore(&database.config().url, file, ManualClock::new().as_ref()).await
}

/// Every file of the folder with its bytes.
fn files(database: &TestDatabase) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = database.file().unwrap();
    let entries = std::fs::read_dir(folder.parent().unwrap()).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn config_of(people: &People) -> portcullis_common::config::Config {
    people.authz.state.config().clone()
}

#[tokio::test]
async fn a_backup_made_while_the_server_writes_comes_back_without_what_was_spent_since() {
    let mut people = People::start(TestDatabase::sqlite()).await;
    let held = people.log_in(Approve::default()).await;
    let jwks = people.authz.get("/jwks").await.text().to_owned();
    let unspent = people.approve(Approve::default()).await;
    let (mut newest, file) = (held.clone(), {
        let writing = async {
            let mut tokens = people.log_in(Approve::default()).await;
            for _ in 0..30 {
                tokens = Tokens::read(&people.refresh(&tokens.refresh).await);
            }
        };
        let ((), file) = tokio::join!(writing, backup(people.database(), "b.sqlite"));
        file.unwrap()
    });
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    newest = Tokens::read(&people.refresh(&newest.refresh).await);
    people.redeem(&unspent).await;
    let since = people.log_in(Approve::default()).await;
    people.authz.state.store().close().await;

    let aside = restore(people.database(), &file).await.unwrap().unwrap();
    let clock = Arc::clone(&people.authz.clock);
    people.authz = Authz::start_seeded(config_of(&people), clock, 9).await;
    for gone in [&held, &newest, &since] {
        let answer = people.refresh(&gone.refresh).await;
        assert_eq!(answer.json()["error"], "invalid_grant", "{answer:?}");
        assert!(
            verify::claims(&people.authz, &gone.access).await.is_some(),
            "its key is there"
        );
    }
    assert_eq!(
        people.redeem(&unspent).await.json()["error"],
        "invalid_grant"
    );
    assert_eq!(people.authz.get("/jwks").await.text(), jwks);
    assert_eq!(
        people
            .authz
            .token(Some(BASIC), "grant_type=client_credentials")
            .await
            .status,
        200
    );
    let fresh = people.log_in(Approve::default()).await;
    Tokens::read(&people.refresh(&fresh.refresh).await);

    // The old life is whole, for whoever must look into it.
    let mut config = people.database().config();
    config.url = format!("sqlite://{}", aside.display());
    let old = Store::open(&config, ManualClock::new().as_ref())
        .await
        .unwrap();
    assert_eq!(old.find_last_restore().await.unwrap(), None);
}

#[tokio::test]
async fn a_store_that_a_server_has_open_is_not_restored_and_nothing_is_touched() {
    let people = People::start(TestDatabase::sqlite()).await;
    let tokens = people.log_in(Approve::default()).await;
    let file = backup(people.database(), "b.sqlite").await.unwrap();
    let error = restore(people.database(), &file).await.unwrap_err();
    assert!(matches!(error, BackupError::InUse(_)), "{error}");
    Tokens::read(&people.refresh(&tokens.refresh).await);
}

#[tokio::test]
async fn a_damaged_backup_is_refused_before_anything_is_touched() {
    let people = People::start(TestDatabase::sqlite()).await;
    people.log_in(Approve::default()).await;
    let good = backup(people.database(), "b.sqlite").await.unwrap();
    people.authz.state.store().close().await;
    let bytes = std::fs::read(&good).unwrap();
    let mut flipped = bytes.clone();
    // The header of the second page: the root of some tree.
    flipped[4096..4160].fill(0xff);
    let newer = {
        let other = TestDatabase::sqlite();
        Authz::start(&other).await.state.store().close().await;
        other
            .execute("INSERT INTO schema_migrations VALUES (99, 'later', 'x', 1); PRAGMA journal_mode = DELETE")
            .await;
        std::fs::read(other.file().unwrap()).unwrap()
    };
    let half = bytes[..bytes.len() / 2].to_vec();
    let cases = [
        ("empty", Vec::new()),
        ("text", b"no database".to_vec()),
        ("half", half),
        ("flipped", flipped),
        ("newer", newer),
    ];
    let before = files(people.database());
    for (name, bytes) in cases {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let error = restore(people.database(), &file).await.unwrap_err();
        assert!(
            matches!(error, BackupError::Damaged { .. }),
            "{name}: {error}"
        );
        assert!(files(people.database()) == before, "{name}");
    }
    let missing = restore(people.database(), Path::new("nowhere"))
        .await
        .unwrap_err();
    assert!(matches!(missing, BackupError::NoSource(_)), "{missing}");
}

#[tokio::test]
async fn a_backup_replaces_nothing_and_a_failed_one_leaves_nothing() {
    let database = TestDatabase::sqlite();
    let none = backup(&database, "b.sqlite").await.unwrap_err();
    assert!(matches!(none, BackupError::NoSource(_)), "{none}");
    let authz = Authz::start(&database).await;
    let file = backup(&database, "b.sqlite").await.unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let again = backup(&database, "b.sqlite").await.unwrap_err();
    assert!(matches!(again, BackupError::Exists(_)), "{again}");
    assert!(std::fs::read(&file).unwrap() == bytes);
    authz.state.store().close().await;
    std::fs::write(database.file().unwrap(), "no database").unwrap();
    backup(&database, "c.sqlite").await.unwrap_err();
    assert!(!file.with_file_name("c.sqlite").exists());
    // What lies there cannot be opened, and is kept all the same.
    let aside = restore(&database, &file).await.unwrap().unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), b"no database");
    Authz::start(&database).await.issue().await;
}

#[tokio::test]
async fn a_backup_can_be_restored_twice_and_where_nothing_is() {
    let database = TestDatabase::sqlite();
    Authz::start(&database).await.state.store().close().await;
    let file = backup(&database, "b.sqlite").await.unwrap();
    let first = restore(&database, &file).await.unwrap().unwrap();
    let second = restore(&database, &file).await.unwrap().unwrap();
    assert_ne!(first, second);
    let names: Vec<_> = files(&database).into_iter().map(|(path, _)| path).collect();
    assert_eq!(names.len(), 4, "nothing else is left: {names:?}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert!(names.iter().all(|path| mode(path) == 0o600));
    let elsewhere = TestDatabase::sqlite();
    assert_eq!(restore(&elsewhere, &file).await.unwrap(), None);
    let authz = Authz::start(&elsewhere).await;
    assert!(
        authz
            .state
            .store()
            .find_last_restore()
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn postgresql_is_left_to_its_own_tools() {
    let url = "postgres://u:hunter2@127.0.0.1:1/db";
    let error = store::backup(url, Path::new("x")).await.unwrap_err();
    assert!(matches!(error, BackupError::NotSqlite), "{error}");
    assert!(error.to_string().contains("pg_dump") && !error.to_string().contains("hunter2"));
}
