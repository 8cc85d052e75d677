//! Databases that earlier versions wrote: the current one opens them, and nothing of them is lost.

use std::path::Path;

use portcullis_authz::store::{NewSigningKey, Store};
use portcullis_common::secret::SecretHash;
use portcullis_testkit::authz::{self, Authz, CLI, CLI_CALLBACK};
use portcullis_testkit::browser::{Ask, Browser, VERIFIER};
use portcullis_testkit::clock::{ManualClock, START};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{ALICE, NATIVE, People, Tokens};
use portcullis_testkit::on_both_engines;

use crate::verify;

const REFRESH_TOKEN: &str = "a refresh token of an earlier version, 43 chars";
const SESSION: &str = "c2Vzc2lvbiBvZiBhbiBlYXJsaWVyIHZlcnNpb24uLi4";

/// The texts of all migrations in their order, each with its number and name.
fn migrations() -> Vec<(i64, String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut migrations: Vec<_> = files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (name[..4].parse().unwrap(), name, text)
        })
        .collect();
    migrations.sort();
    migrations
}

/// Makes the schema of an earlier version, with its history as that version wrote it.
async fn earlier_schema(database: &TestDatabase, version: i64) {
    if let Some(file) = database.file() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "").unwrap();
    }
    let history = "
        CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL,
        checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)";
    database.execute(history).await;
    for (number, name, text) in migrations().into_iter().filter(|one| one.0 <= version) {
        database.execute(&text).await;
        let checksum = SecretHash::of(&format!("{text}\0{text}")).to_hex();
        let row =
            format!("INSERT INTO schema_migrations VALUES ({number}, '{name}', '{checksum}', 1)");
        database.execute(&row).await;
    }
}

/// Keys as every version writes them.
async fn keys() -> Vec<NewSigningKey> {
    let scratch = TestDatabase::sqlite();
    let authz = Authz::start(&scratch).await;
    let keys = authz.state.store().load_signing_keys().await.unwrap();
    keys.into_iter()
        .map(|key| NewSigningKey {
            kid: key.kid,
            algorithm: key.algorithm,
            private_key: key.private_key,
        })
        .collect()
}

/// Rows of everything that a version knew.
async fn earlier_rows(database: &TestDatabase, version: i64) {
    let now = START.seconds();
    let hash = |text: &str| SecretHash::of(text).to_hex();
    for (key, state) in keys().await.iter().zip(["active", "next"]) {
        let activated = if state == "active" {
            now.to_string()
        } else {
            "NULL".to_owned()
        };
        let row = format!(
            "INSERT INTO signing_keys (kid, algorithm, state, private_key, created_at, activated_at)
             VALUES ('{}', '{}', '{state}', '{}', {now}, {activated})",
            key.kid, key.algorithm.name(), key.private_key.expose()
        );
        database.execute(&row).await;
    }
    let client = format!(
        "INSERT INTO clients (client_id, name, auth_method, secret_hash, grant_types, redirect_uris,
             scope, introspect, created_at)
         VALUES ('old-job', 'Old job', 'client_secret_basic', '{}', '[\"client_credentials\"]', '[]',
             'mcp:read', '[]', {now})",
        hash("old secret")
    );
    database.execute(&client).await;
    if version >= 2 {
        let rows = format!(
            "INSERT INTO accounts (account_id, username, email, email_verified, role, state,
                 password_hash, created_at, password_changed_at)
             VALUES ('{ALICE}', 'alice', 'alice@example.com', 1, 'admin', 'enabled', '-', 1, 1);
             INSERT INTO sessions VALUES ('{session}', '{ALICE}', {now}, {now}, {now} + 3600);
             INSERT INTO consents VALUES ('{ALICE}', 'c', 'r', 'h', 'mcp:read', 'd', {now});
             INSERT INTO grants (grant_id, account_id, client_id, resource, scope, auth_time, created_at, expires_at)
             VALUES ('old-grant', '{ALICE}', '{NATIVE}', '{mcp}', 'mcp:read', {now}, {now}, {now} + 9999),
                    ('old-approval', '{ALICE}', '{NATIVE}', '{mcp}', 'mcp:read', {now}, {now}, {now} + 9999);
             INSERT INTO refresh_tokens (token_hash, grant_id, generation, created_at, expires_at)
             VALUES ('{token}', 'old-grant', 0, {now}, {now} + 9999);
             INSERT INTO authorization_codes (code_hash, grant_id, client_id, redirect_uri, code_challenge,
                 nonce, allows_refresh, created_at, expires_at, wrong_verifiers, forgotten_at)
             VALUES ('{code}', 'old-approval', '{NATIVE}', 'http://127.0.0.1:4711/cb',
                 '{challenge}', NULL, 1, {now}, {now} + 60, 0, {now} + 600)",
            session = hash(SESSION),
            token = hash(REFRESH_TOKEN),
            code = hash("old code"),
            challenge = portcullis_testkit::browser::CHALLENGE,
            mcp = authz::MCP,
        );
        database.execute(&rows).await;
    }
    if version >= 3 {
        database
            .execute("INSERT INTO revoked_tokens VALUES ('old jti', 9999999999)")
            .await;
    }
    if version >= 6 {
        let row = "INSERT INTO certificate_clients VALUES ('old-robot', 'Old robot',
             'tls_client_auth', 'CN=robot', '[\"client_credentials\"]', '[]', NULL, '[]', 1)";
        database.execute(row).await;
    }
    if version >= 4 {
        let row = "INSERT INTO initial_access_tokens VALUES ('invitation', 3, 1, 9999999999)";
        database.execute(row).await;
    }
}

/// What an earlier version left works with the current one.
async fn works_on(database: TestDatabase, version: i64) {
    earlier_schema(&database, version).await;
    earlier_rows(&database, version).await;
    let before = database.rows().await;
    let people = People::start(database).await;
    let after = people.database().rows().await;
    for (table, rows) in &before {
        let more = if table == "change_counters" || table == "accounts" {
            9
        } else {
            0
        };
        let kept = rows.len()..=rows.len() + more;
        assert!(
            kept.contains(&after[table].len()),
            "version {version}: {table}: {after:?}"
        );
    }
    let kids = verify::published(&people.authz).await;
    assert!(
        kids.iter()
            .all(|kid| before["signing_keys"].concat().contains(kid)),
        "{kids:?}"
    );
    let job = Some(("old-job", "old secret"));
    let answer = people
        .authz
        .token(job, "grant_type=client_credentials")
        .await;
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert!(verify::claims(&people.authz, &token).await.is_some());
    let clients = people.authz.state.store().load_clients().await.unwrap();
    let kept = clients
        .iter()
        .any(|client| client.credential.subject().is_some());
    assert_eq!(kept, version >= 6);
    if version >= 2 {
        people_go_on(&people).await;
    }
}

async fn people_go_on(people: &People) {
    let tokens = Tokens::read(&people.refresh(REFRESH_TOKEN).await);
    let tokens = Tokens::read(&people.refresh(&tokens.refresh).await);
    assert!(people.is_active(&tokens.access).await);
    let body = format!(
        "grant_type=authorization_code&client_id={NATIVE}&code=old code&code_verifier={VERIFIER}"
    );
    Tokens::read(
        &people
            .authz
            .token(None, &body.replace("old code", "old%20code"))
            .await,
    );
    let mut browser = Browser::new(&people.authz);
    let cookie = ("portcullis_session".to_owned(), SESSION.to_owned());
    browser.cookies.extend([cookie]);
    let page = browser.opens(&Ask::of(CLI, CLI_CALLBACK).path()).await;
    assert!(
        page.text().contains("name=\"decision\""),
        "logged in, and asked: {page:?}"
    );
}

/// Every schema but the current one, and the current one too.
fn versions() -> impl Iterator<Item = i64> {
    migrations().into_iter().map(|(version, _, _)| version)
}

#[tokio::test]
async fn every_earlier_sqlite_file_opens_and_works_on() {
    for version in versions() {
        works_on(TestDatabase::sqlite(), version).await;
    }
}

#[tokio::test]
async fn every_earlier_postgresql_database_opens_and_works_on() {
    for version in versions() {
        if let Some(database) = TestDatabase::postgres().await {
            works_on(database, version).await;
        }
    }
}

on_both_engines! {
    async fn an_older_program_goes_on_beside_a_newer_schema(database) {
        // During a rolling upgrade both run: what a later version adds is nothing to this one.
        let clock = ManualClock::new();
        Store::open(&database.config(), clock.as_ref()).await.unwrap().close().await;
        database.execute(
            "INSERT INTO schema_migrations VALUES (99, '0099_later', 'x', 1);
             ALTER TABLE grants ADD COLUMN later BIGINT NOT NULL DEFAULT 0"
        ).await;
        let people = People::start(database).await;
        let tokens = people.log_in(portcullis_testkit::grants::Approve::default()).await;
        Tokens::read(&people.refresh(&tokens.refresh).await);
    }
}
