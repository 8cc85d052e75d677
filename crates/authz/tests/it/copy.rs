//! One store copied into another: nothing is lost, and every secret works on.

use std::sync::Arc;

use portcullis_authz::store::{self, CopyError, Store};
use portcullis_testkit::authz::{Authz, BASIC, CLI, CLI_CALLBACK};
use portcullis_testkit::browser::{Ask, Browser, VERIFIER};
use portcullis_testkit::clock::ManualClock;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{Approve, Code, People, SITE, Tokens};
use portcullis_testkit::on_both_engines;
use serde_json::{Value, json};

use crate::registration::{confidential, public, registered};
use crate::verify;

/// What people and clients hold.
struct Life {
    people: People,
    tokens: Tokens,
    predecessor: String,
    revoked: Tokens,
    of_client: String,
    unspent: Code,
    cookies: std::collections::BTreeMap<String, String>,
    site: Value,
    jwks: String,
}

/// Everything that makes a row, through the server wherever it has a way.
async fn live(database: TestDatabase) -> Life {
    let people = People::start(database).await;
    people.authz.add_user("bob", "correct horse").await;
    let mut browser = Browser::new(&people.authz);
    browser
        .allows(&Ask::of(CLI, CLI_CALLBACK), "bob", "correct horse")
        .await;
    browser
        .opens(&Ask::of(CLI, CLI_CALLBACK).with("scope", "mcp:write").path())
        .await;
    registered(&people.authz, &public()).await;
    let site = registered(&people.authz, &confidential()).await;
    let first = people.log_in(Approve::default()).await;
    let tokens = Tokens::read(&people.refresh(&first.refresh).await);
    let revoked = people.log_in(Approve::default()).await;
    let of_client = people.authz.issue().await;
    let body = format!("client_id=native&token={}", revoked.refresh);
    assert_eq!(people.post("/revoke", None, &body).await.status, 200);
    let once = people.authz.issue().await;
    assert_eq!(
        people
            .post("/revoke", Some(BASIC), &format!("token={once}"))
            .await
            .status,
        200
    );
    let unspent = people
        .approve(Approve {
            client_id: SITE.0,
            ..Approve::default()
        })
        .await;
    let many = "
        INSERT INTO revoked_tokens (jti, expires_at)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1234)
        SELECT 'jti ''' || i, 9999999999 FROM n;
        INSERT INTO initial_access_tokens (token_hash, uses_left, created_at, expires_at)
        VALUES ('invitation', 3, 1, 9999999999);
        INSERT INTO clients (client_id, name, auth_method, secret_hash, grant_types, redirect_uris,
            scope, introspect, created_at)
        VALUES ('anne', 'Ünïcode \"☃\"', 'none', NULL, '[]', '[]', NULL, '[]', 7);
        INSERT INTO certificate_clients (client_id, name, auth_method, subject, grant_types,
            redirect_uris, scope, introspect, created_at)
        VALUES ('robot', 'Robot', 'tls_client_auth', 'CN=robot', '[]', '[]', NULL, '[]', 7)";
    people.database().execute(many).await;
    let cookies = browser.cookies.clone();
    let jwks = people.authz.get("/jwks").await.text().to_owned();
    people.authz.state.store().close().await;
    Life {
        tokens,
        revoked,
        of_client,
        unspent,
        cookies,
        site,
        jwks,
        people,
        predecessor: first.refresh,
    }
}

impl Life {
    /// The same server with the copy for its store.
    async fn goes_on(mut self, copy: &TestDatabase) {
        let mut config = self.people.authz.state.config().clone();
        config.store = copy.config();
        let clock = Arc::clone(&self.people.authz.clock);
        self.people.authz = Authz::start_seeded(config, clock, 7).await;
        let people = &self.people;
        assert_eq!(people.authz.get("/jwks").await.text(), self.jwks);
        assert!(
            verify::claims(&people.authz, &self.of_client)
                .await
                .is_some()
        );
        assert!(people.is_active(&self.tokens.access).await);
        assert!(!people.is_active(&self.revoked.access).await);
        assert_eq!(
            people.refresh(&self.revoked.refresh).await.json()["error"],
            "invalid_grant"
        );
        let again = Tokens::read(&people.refresh(&self.predecessor).await);
        assert_eq!(
            again,
            Tokens {
                expires_in: again.expires_in,
                ..self.tokens.clone()
            },
            "the lost answer is given again"
        );
        Tokens::read(&people.refresh(&self.tokens.refresh).await);
        let body = format!(
            "{}&redirect_uri=http://127.0.0.1:4711/cb",
            self.unspent.body()
        );
        let answer = people.authz.token(Some(SITE), &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = |name: &str| self.site[name].as_str().unwrap();
        let credentials = Some((text("client_id"), text("client_secret")));
        let answer = people
            .authz
            .token(
                credentials,
                &format!("grant_type=authorization_code&code=x&code_verifier={VERIFIER}"),
            )
            .await;
        assert_eq!(
            answer.json()["error"],
            "invalid_grant",
            "the secret is right, the token is not"
        );
        let mut browser = Browser::new(&people.authz);
        browser.cookies = self.cookies;
        let answer = browser.opens(&Ask::of(CLI, CLI_CALLBACK).path()).await;
        assert!(
            !answer.text().contains("name=\"password\""),
            "the session lives: {answer:?}"
        );
    }
}

async fn copies(from: TestDatabase, to: &TestDatabase) {
    let config = from.config();
    let life = live(from).await;
    let clock = Arc::clone(&life.people.authz.clock);
    let mut told = Vec::new();
    let mut progress = |table: store::CopiedTable| told.push((table.name, table.rows));
    let urls = (config.url.as_str(), to.config().url);
    let copied = store::copy((urls.0, &urls.1), clock.as_ref(), &mut progress)
        .await
        .unwrap();

    let (before, after) = (life.people.database().rows().await, to.rows().await);
    assert_eq!(before, after);
    let names: Vec<_> = copied.iter().map(|table| table.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        before.keys().map(String::as_str).collect::<Vec<_>>(),
        "no table is forgotten"
    );
    for table in &copied {
        assert_eq!(
            table.rows,
            i64::try_from(before[table.name].len()).unwrap(),
            "{}",
            table.name
        );
        assert!(
            table.rows > 0 || table.name == "restores",
            "{} shows nothing",
            table.name
        );
    }
    let in_steps: Vec<_> = told
        .iter()
        .filter(|(name, _)| *name == "revoked_tokens")
        .collect();
    assert_eq!(in_steps.len(), 3, "{told:?}");
    life.goes_on(to).await;
}

#[tokio::test]
async fn everything_of_a_sqlite_file_works_on_in_postgresql() {
    if let Some(postgres) = TestDatabase::postgres().await {
        copies(TestDatabase::sqlite(), &postgres).await;
    }
}

#[tokio::test]
async fn everything_of_postgresql_works_on_in_a_sqlite_file() {
    if let Some(postgres) = TestDatabase::postgres().await {
        copies(postgres, &TestDatabase::sqlite()).await;
    }
}

/// What is said about a copy that cannot be made.
async fn refused(from: &TestDatabase, to: &TestDatabase) -> CopyError {
    let (from, to) = (from.config().url, to.config().url);
    let clock = ManualClock::new();
    store::copy((&from, &to), clock.as_ref(), &mut |_| ())
        .await
        .unwrap_err()
}

on_both_engines! {
    async fn a_source_that_a_server_has_open_is_refused_and_the_target_stays_empty(database) {
        let authz = Authz::start(&database).await;
        let to = TestDatabase::sqlite();
        let error = refused(&database, &to).await;
        assert!(matches!(error, CopyError::SourceInUse), "{error}");
        assert!(!to.file().unwrap().exists());
        authz.issue().await;
        authz.state.store().close().await;
        let urls = (database.config().url, to.config().url);
        store::copy((&urls.0, &urls.1), authz.clock.as_ref(), &mut |_| ()).await.unwrap();
    }

    async fn a_target_that_was_used_is_refused_and_keeps_what_it_has(database) {
        let source = TestDatabase::sqlite();
        Authz::start(&source).await.state.store().close().await;
        let used = Authz::start(&database).await;
        let before = database.rows().await;
        let error = refused(&source, &database).await;
        assert!(matches!(error, CopyError::TargetNotEmpty(_)), "{error}");
        assert_eq!(database.rows().await, before);
        used.state.store().close().await;
    }

    async fn stores_of_different_schemas_are_refused(database) {
        let source = TestDatabase::sqlite();
        Authz::start(&source).await.state.store().close().await;
        source.execute("DELETE FROM schema_migrations WHERE version = 6").await;
        let error = refused(&source, &database).await;
        let CopyError::SchemasDiffer { from, to } = error else { unreachable!("{error}") };
        assert_eq!(from + 1, to);
    }

    async fn a_copy_that_fails_half_way_leaves_nothing(database) {
        let source = TestDatabase::sqlite();
        let authz = Authz::start(&source).await;
        authz.add_user("bob", "correct horse").await;
        authz.state.store().close().await;
        // Only somebody with a shell can have written this.
        source.execute("PRAGMA foreign_keys = OFF;
             INSERT INTO consents VALUES ('nobody', 'c', 'r', 'h', 's', 'd', 1)").await;
        let error = refused(&source, &database).await;
        assert!(error.to_string().starts_with("target: "), "{error}");
        let open = Store::open(&database.config(), ManualClock::new().as_ref()).await.unwrap();
        open.close().await;
        let rows = database.rows().await;
        assert!(rows.iter().all(|(table, rows)| rows.is_empty() || table == "change_counters"), "{rows:?}");
    }
}

#[tokio::test]
async fn a_source_that_is_not_there_or_is_the_target_is_refused_and_not_made() {
    let (from, to) = (TestDatabase::sqlite(), TestDatabase::sqlite());
    let error = refused(&from, &to).await;
    assert!(matches!(error, CopyError::NoSource(_)), "{error}");
    assert!(!from.file().unwrap().exists());
    let error = refused(&from, &from).await;
    assert_eq!(
        error.to_string(),
        json!("source and target are the same store")
            .as_str()
            .unwrap()
    );
}
