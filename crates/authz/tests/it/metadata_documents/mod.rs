//! Clients that are described by a document at their own URL (Client ID Metadata Document): whom
//! the server believes, and what it can be made to fetch.

mod answers;
mod fetches;
mod people;
mod tokens;

use portcullis_common::config::Config;
use portcullis_testkit::authz::{self, Answer, Authz};
use portcullis_testkit::browser::{Ask, Browser, VERIFIER};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::web::TestWeb;
use portcullis_testkit::website::Page;
use serde_json::{Value, json};

const ID: &str = "https://client.test/app.json";
const CALLBACK: &str = "https://client.test/cb";
const LOOPBACK: &str = "http://127.0.0.1:4711/cb";
const PASSWORD: &str = "correct horse";

/// A good document for this id.
fn document(id: &str) -> Value {
    json!({
        "client_id": id,
        "client_name": "Kite",
        "redirect_uris": [CALLBACK, "http://127.0.0.1/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
}

/// A server with the web around it.
struct World {
    web: TestWeb,
    authz: Authz,
    _database: TestDatabase,
}

impl World {
    /// One with a good document at [`ID`].
    async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(TestWeb::start().await, change).await
    }

    async fn start_on(web: TestWeb, change: impl FnOnce(&mut Config)) -> Self {
        let database = TestDatabase::sqlite();
        web.site.publish("/app.json", Page::json(&document(ID)));
        let mut config = authz::config(database.config());
        change(&mut config);
        Self {
            authz: Authz::start_on(&web, config).await,
            web,
            _database: database,
        }
    }

    /// What a new browser gets that comes with this client id.
    async fn asks_as(&self, id: &str) -> Answer {
        Browser::new(&self.authz).get(&ask(id).path()).await
    }

    /// A refresh or code exchange as the client of [`ID`] sends it.
    async fn token(&self, body: &str) -> Answer {
        let id = url::form_urlencoded::byte_serialize(ID.as_bytes()).collect::<String>();
        self.authz
            .token(None, &format!("client_id={id}&{body}"))
            .await
    }

    /// What was fetched so far.
    fn fetches(&self) -> Vec<String> {
        self.web.site.requests()
    }
}

fn ask(id: &str) -> Ask {
    Ask::of(id, CALLBACK)
}

fn exchange(code: &str) -> String {
    format!("grant_type=authorization_code&code={code}&code_verifier={VERIFIER}")
}

/// Whether the client is known: the person is asked to log in.
fn is_known(answer: &Answer) -> bool {
    answer.status == 303
        && answer
            .location()
            .is_some_and(|path| path.starts_with("/login?"))
}

/// A page of ours that leads nowhere, and repeats nothing.
fn expect_refusal(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {answer:?}");
    assert!(answer.location().is_none(), "{what}");
    let page = answer.text();
    assert!(page.contains("cannot be recognised"), "{what}: {page}");
    assert!(!page.contains("client.test"), "{what}: {page}");
}
