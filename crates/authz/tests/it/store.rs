//! What the store promises, on both engines.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use portcullis_authz::clients::{Client, ClientId, ClientOrigin, Credential};
use portcullis_authz::store::{
    InitialiseKeys, InsertClient, KeyState, NewSigningKey, RemoveClient, RotateKeys, SchemaError,
    Store, StoreError, StoredPrivateKey,
};
use portcullis_common::clock::{Clock as _, Timestamp};
use portcullis_common::config::{GrantType, MigrateMode, SigningAlgorithm};
use portcullis_common::distinguished_name::DistinguishedName;
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::secret::SecretHash;
use portcullis_testkit::clock::{ManualClock, START, within};
use portcullis_testkit::database::{FaultyLink, ForeignLock, Link, TestDatabase};
use portcullis_testkit::on_both_engines;

async fn open(database: &TestDatabase) -> Store {
    Store::open(&database.config(), ManualClock::new().as_ref())
        .await
        .unwrap()
}

fn client(id: &str) -> Client {
    Client {
        id: ClientId::parse(id).unwrap(),
        name: "Näme; DROP TABLE clients; --".to_owned(),
        credential: Credential::SecretPost(SecretHash::of("s")),
        grants: vec![GrantType::ClientCredentials, GrantType::RefreshToken],
        redirect_uris: vec!["http://127.0.0.1/\"cb\"".to_owned()],
        scope: Some("mcp:read mcp:write".parse().unwrap()),
        introspect: vec![ResourceIndicator::parse("https://h/mcp").unwrap()],
        created_at: START,
        origin: ClientOrigin::Operator,
    }
}

/// One with a certificate, whose subject has everything that must be escaped.
fn robot(id: &str) -> Client {
    let subject = DistinguishedName::parse("CN=a\\,b\\+\\ +OU=\\#x,O=Söhne,2.5.4.65=\\\\").unwrap();
    Client {
        credential: Credential::Certificate(subject),
        ..client(id)
    }
}

fn key(kid: &str) -> NewSigningKey {
    NewSigningKey {
        kid: kid.to_owned(),
        algorithm: SigningAlgorithm::Es256,
        private_key: StoredPrivateKey::new(format!("plain:{kid}")),
    }
}

async fn states(store: &Store) -> Vec<(String, KeyState)> {
    let keys = store.load_signing_keys().await.unwrap();
    keys.into_iter().map(|key| (key.kid, key.state)).collect()
}

fn later(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

on_both_engines! {
    async fn a_client_comes_back_as_it_was_written(database) {
        let store = open(&database).await;
        let public = Client {
            credential: Credential::None,
            scope: None,
            created_at: later(1),
            ..client("public")
        };
        let robot = Client { created_at: later(2), ..robot("robot") };
        for one in [&client("svc"), &public, &robot] {
            assert_eq!(store.insert_client(one).await.unwrap(), InsertClient::Created);
        }
        assert_eq!(store.load_clients().await.unwrap(), [client("svc"), public, robot]);
    }

    async fn a_client_id_belongs_to_one_client_until_it_is_removed(database) {
        let store = open(&database).await;
        let id = ClientId::parse("svc").unwrap();
        assert_eq!(store.insert_client(&client("svc")).await.unwrap(), InsertClient::Created);
        for other in [client("svc"), robot("svc")] {
            assert_eq!(store.insert_client(&other).await.unwrap(), InsertClient::IdTaken);
        }
        assert_eq!(store.remove_client(&id, START).await.unwrap(), RemoveClient::Removed);
        assert_eq!(store.remove_client(&id, START).await.unwrap(), RemoveClient::Unknown);
        assert_eq!(store.insert_client(&robot("svc")).await.unwrap(), InsertClient::Created);
        assert_eq!(store.insert_client(&client("svc")).await.unwrap(), InsertClient::IdTaken);
        assert_eq!(store.load_clients().await.unwrap(), [robot("svc")]);
        assert_eq!(store.remove_client(&id, START).await.unwrap(), RemoveClient::Removed);
        assert_eq!(store.load_clients().await.unwrap(), []);
    }

    async fn of_many_clients_of_one_id_one_is_kept_whatever_they_prove_themselves_with(database) {
        let store = open(&database).await;
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let store = store.clone();
                let one = if number % 2 == 0 { client("svc") } else { robot("svc") };
                tokio::spawn(async move { store.insert_client(&one).await.unwrap() })
            })
            .collect();
        let mut created = 0;
        for task in tasks {
            created += usize::from(task.await.unwrap() == InsertClient::Created);
        }
        assert_eq!((created, store.load_clients().await.unwrap().len()), (1, 1));
    }

    async fn every_change_is_counted_and_nothing_else_is(database) {
        let store = open(&database).await;
        store.insert_client(&client("svc")).await.unwrap();
        store.insert_client(&client("svc")).await.unwrap();
        store.initialise_signing_keys(key("a"), key("b"), START).await.unwrap();
        store.initialise_signing_keys(key("c"), key("d"), START).await.unwrap();
        store.sweep_signing_keys(later(1_000)).await.unwrap();
        let counters = store.load_change_counters().await.unwrap();
        assert_eq!((counters.clients, counters.keys), (1, 1));
    }

    async fn of_many_first_starts_one_makes_the_keys(database) {
        let store = open(&database).await;
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let (active, next) = (key(&format!("a{number}")), key(&format!("n{number}")));
                    store.initialise_signing_keys(active, next, START).await.unwrap()
                })
            })
            .collect();
        let mut created = 0;
        for task in tasks {
            created += usize::from(task.await.unwrap() == InitialiseKeys::Created);
        }
        assert_eq!(created, 1);
        let states = states(&store).await;
        assert_eq!(states.len(), 2);
        assert_eq!(states[0].0[1..], states[1].0[1..], "both keys come from one start");
    }

    async fn of_many_rotations_of_the_same_key_one_takes_place(database) {
        let store = open(&database).await;
        store.initialise_signing_keys(key("a"), key("b"), START).await.unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let store = store.clone();
                let new = key(&format!("c{number}"));
                let named = ("a".to_owned(), "b".to_owned());
                tokio::spawn(async move {
                    store.rotate_signing_keys(named, new, later(1), later(9)).await.unwrap()
                })
            })
            .collect();
        let mut rotated = 0;
        for task in tasks {
            rotated += usize::from(task.await.unwrap() == RotateKeys::Rotated);
        }
        assert_eq!(rotated, 1);
        let states = states(&store).await;
        assert_eq!(states.len(), 3);
        assert_eq!(states[0], ("b".to_owned(), KeyState::Active));
        assert_eq!(states[1].1, KeyState::Next);
        assert_eq!(states[2], ("a".to_owned(), KeyState::Retired));
    }

    async fn a_retired_key_is_swept_when_its_time_is_over_and_not_before(database) {
        let store = open(&database).await;
        store.initialise_signing_keys(key("a"), key("b"), START).await.unwrap();
        let named = ("a".to_owned(), "b".to_owned());
        store.rotate_signing_keys(named, key("c"), later(1), later(9)).await.unwrap();
        assert_eq!(store.sweep_signing_keys(later(8)).await.unwrap(), 0);
        assert_eq!(store.sweep_signing_keys(later(9)).await.unwrap(), 1);
        assert_eq!(states(&store).await.len(), 2);
    }

    async fn other_keys_take_the_place_of_the_living_ones_only_once(database) {
        let store = open(&database).await;
        store.initialise_signing_keys(key("a"), key("b"), START).await.unwrap();
        let mut replace = Vec::new();
        for (active, next) in [("c", "d"), ("e", "f")] {
            let new = (key(active), key(next));
            replace.push(
                store.replace_signing_keys("a".to_owned(), new, later(1), later(9)).await.unwrap(),
            );
        }
        assert_eq!(replace, [RotateKeys::Rotated, RotateKeys::Lost]);
        let kids: Vec<_> = states(&store).await.into_iter().map(|(kid, _)| kid).collect();
        assert_eq!(kids, ["c", "d", "a"]);
    }

    async fn an_old_schema_is_refused_when_migrations_are_off(database) {
        let mut config = database.config();
        config.migrate = MigrateMode::Off;
        let clock = ManualClock::new();
        let refused = Store::open(&config, clock.as_ref()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Schema(SchemaError::Old { .. })), "{refused}");
        portcullis_authz::store::migrate(&config, clock.as_ref()).await.unwrap();
        Store::open(&config, clock.as_ref()).await.unwrap().ping().await.unwrap();
    }

    async fn processes_that_start_together_migrate_once(database) {
        let starts: Vec<_> = (0..6)
            .map(|_| {
                let config = database.config();
                tokio::spawn(async move {
                    Store::open(&config, ManualClock::new().as_ref()).await
                })
            })
            .collect();
        for start in starts {
            let counters = start.await.unwrap().unwrap().load_change_counters().await.unwrap();
            assert_eq!((counters.clients, counters.keys), (0, 0));
        }
    }

    async fn what_was_answered_is_there_after_a_new_start(database) {
        let store = open(&database).await;
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    // Every second one asks for an id that is taken, in the middle of a batch.
                    let id = format!("svc{}", number / 2);
                    store.insert_client(&client(&id)).await.unwrap()
                })
            })
            .collect();
        let mut created = 0;
        for task in tasks {
            created += usize::from(task.await.unwrap() == InsertClient::Created);
        }
        store.close().await;
        assert_eq!(created, 25);
        assert_eq!(open(&database).await.load_clients().await.unwrap().len(), 25);
        assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    }
}

#[tokio::test]
async fn files_of_the_store_belong_to_the_owner_alone() {
    let database = TestDatabase::sqlite();
    let store = open(&database).await;
    store.insert_client(&client("svc")).await.unwrap();
    let file = database.file().unwrap();
    let folder = file.parent().unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(folder), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(
        names,
        ["portcullis.db", "portcullis.db-shm", "portcullis.db-wal"]
    );
}

#[tokio::test]
async fn a_file_locked_by_somebody_else_is_unavailable_for_writing_and_heals() {
    let database = TestDatabase::sqlite();
    let store = open(&database).await;
    let lock = ForeignLock::take(&database.file().unwrap()).await;
    let (a, b) = (client("a"), client("b"));
    let both = async { tokio::join!(store.insert_client(&a), store.insert_client(&b)) };
    let (first, second) = within(Duration::from_secs(7), Box::pin(both)).await;
    for result in [first, second] {
        assert!(
            matches!(result, Err(StoreError::Unavailable(_))),
            "{result:?}"
        );
    }
    assert_eq!(
        store.load_clients().await.unwrap(),
        [],
        "readers are not held up"
    );
    lock.release().await;
    assert_eq!(
        store.insert_client(&client("c")).await.unwrap(),
        InsertClient::Created
    );
    let ids: Vec<_> = store
        .load_clients()
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.id)
        .collect();
    assert_eq!(
        ids,
        [ClientId::parse("c").unwrap()],
        "what was refused was not done later"
    );
}

#[tokio::test]
async fn a_write_whose_caller_gave_up_while_the_file_was_locked_is_not_done_later() {
    let database = TestDatabase::sqlite();
    let store = open(&database).await;
    let lock = ForeignLock::take(&database.file().unwrap()).await;
    let (a, b) = (client("a"), client("b"));
    let gave_up = tokio::time::timeout(Duration::from_millis(300), store.insert_client(&a)).await;
    assert!(gave_up.is_err(), "{gave_up:?}");
    lock.release().await;
    assert_eq!(
        store.insert_client(&b).await.unwrap(),
        InsertClient::Created
    );
    assert_eq!(store.load_clients().await.unwrap(), [b]);
}

#[tokio::test]
async fn a_server_starts_on_a_locked_file_whose_schema_is_right() {
    let database = TestDatabase::sqlite();
    open(&database).await.close().await;
    let lock = ForeignLock::take(&database.file().unwrap()).await;
    open(&database).await.ping().await.unwrap();
    lock.release().await;
}

#[tokio::test]
async fn a_server_that_is_frozen_or_gone_is_unavailable_within_two_seconds_and_heals() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let link = FaultyLink::to(&database).await;
    let store = open(link.database()).await;
    for outage in [Link::Frozen, Link::Down] {
        let id = |number: u32| format!("{outage:?}-{number}");
        assert_eq!(
            store.insert_client(&client(&id(0))).await.unwrap(),
            InsertClient::Created
        );
        link.set(outage).await;
        // More calls than connections, so that waiting for one is part of the test.
        for _ in 0..2 {
            let calls: Vec<_> = (0..20)
                .map(|_| {
                    let store = store.clone();
                    tokio::spawn(async move { store.ping().await })
                })
                .collect();
            let answers = async {
                for call in calls {
                    let result = call.await.unwrap();
                    assert!(
                        matches!(result, Err(StoreError::Unavailable(_))),
                        "{result:?}"
                    );
                }
            };
            within(Duration::from_secs(2), answers).await;
        }
        link.set(Link::Up).await;
        let healed = async { while store.ping().await.is_err() {} };
        within(Duration::from_secs(4), healed).await;
        assert_eq!(
            store.insert_client(&client(&id(1))).await.unwrap(),
            InsertClient::Created
        );
    }
}

#[tokio::test]
async fn a_migration_with_another_text_is_refused() {
    let database = TestDatabase::sqlite();
    open(&database).await.close().await;
    database
        .execute("UPDATE schema_migrations SET checksum = 'x'")
        .await;
    let clock = ManualClock::new();
    let refused = Store::open(&database.config(), clock.as_ref())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, StoreError::Schema(SchemaError::Changed { .. })),
        "{refused}"
    );
    assert_eq!(clock.now(), START);
}

on_both_engines! {
    async fn a_row_that_makes_no_sense_is_named(database) {
        let store = open(&database).await;
        store.insert_client(&client("svc")).await.unwrap();
        database.execute("UPDATE clients SET grant_types = 'nonsense'").await;
        let error = store.load_clients().await.unwrap_err().to_string();
        assert_eq!(
            error,
            "the column grant_types of the row svc in the table clients makes no sense"
        );
    }
}
