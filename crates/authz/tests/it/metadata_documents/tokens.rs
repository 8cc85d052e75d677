//! The token endpoint and a client that a document describes.

use std::time::Duration;

use http::Request;
use http::header::AUTHORIZATION;
use portcullis_common::config::Config;
use portcullis_testkit::authz::{self, Authz, BASIC};
use portcullis_testkit::browser::Browser;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::Tokens;
use portcullis_testkit::on_both_engines;
use portcullis_testkit::web::TestWeb;
use portcullis_testkit::website::Page;

use super::{ID, PASSWORD, World, ask, document, exchange};

async fn start(database: TestDatabase, change: impl FnOnce(&mut Config)) -> World {
    let web = TestWeb::start().await;
    web.site.publish("/app.json", Page::json(&document(ID)));
    let mut config = authz::config(database.config());
    change(&mut config);
    let world = World {
        authz: Authz::start_on(&web, config).await,
        web,
        _database: database,
    };
    world.authz.add_user("alice", PASSWORD).await;
    world
}

/// The code of a new approval.
async fn code(world: &World) -> String {
    let ask = ask(ID).with("scope", "mcp:read openid offline_access");
    let mut browser = Browser::new(&world.authz);
    browser.allows(&ask, "alice", PASSWORD).await
}

async fn tokens(world: &World) -> Tokens {
    let code = code(world).await;
    Tokens::read(&world.token(&exchange(&code)).await)
}

fn refresh(token: &str) -> String {
    format!("grant_type=refresh_token&refresh_token={token}")
}

/// Longer than the document is kept, and the grace of a refresh is over.
fn forget(world: &World) {
    world.authz.clock.advance(Duration::from_secs(61));
}

on_both_engines! {
    async fn a_client_that_a_document_describes_gets_in_and_stays_in(database) {
        let world = start(database, |_| ()).await;
        let first = tokens(&world).await;
        let second = Tokens::read(&world.token(&refresh(&first.refresh)).await);
        assert_ne!(second.refresh, first.refresh);
        assert_eq!(world.fetches(), ["client.test/app.json"], "one fetch for all of it");
        forget(&world);
        let third = Tokens::read(&world.token(&refresh(&second.refresh)).await);
        assert_eq!(world.fetches().len(), 2);
        let claims = third.access.split('.').nth(1).unwrap().to_owned();
        let claims = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims);
        let claims: serde_json::Value = serde_json::from_slice(&claims.unwrap()).unwrap();
        assert_eq!(claims["client_id"], ID);
    }
}

#[tokio::test]
async fn while_the_document_cannot_be_had_a_client_is_told_to_come_back_and_loses_nothing() {
    let world = start(TestDatabase::sqlite(), |_| ()).await;
    let tokens = tokens(&world).await;
    let code = code(&world).await;
    let away = [
        Page::new(500, "text/plain", b"x"),
        Page::new(503, "text/plain", b"x"),
        Page::new(429, "text/plain", b"x"),
        Page::new(302, "text/plain", b"x"),
        Page::announcing(4000, b"{"),
    ];
    forget_document_only(&world);
    for page in away {
        world.web.site.publish("/app.json", page);
        for body in [refresh(&tokens.refresh), exchange(&code)] {
            let answer = world.token(&body).await;
            answer.expect_error(503, "temporarily_unavailable");
            assert_eq!(answer.header("retry-after"), "5");
        }
    }
    // A name that points inside looks like one that has no answer.
    world
        .web
        .site
        .publish("/app.json", Page::json(&document(ID)));
    world.web.name("client.test", &["10.0.0.1"]);
    let answer = world.token(&refresh(&tokens.refresh)).await;
    answer.expect_error(503, "temporarily_unavailable");
    world.web.name("client.test", &["93.184.216.34"]);
    Tokens::read(&world.token(&exchange(&code)).await);
    Tokens::read(&world.token(&refresh(&tokens.refresh)).await);
}

/// Longer than the document is kept, and the code lives on.
fn forget_document_only(world: &World) {
    world.authz.clock.advance(Duration::from_secs(31));
}

#[tokio::test]
async fn a_document_that_was_taken_away_or_turned_bad_ends_the_client_until_it_is_good_again() {
    let world = start(TestDatabase::sqlite(), |_| ()).await;
    let tokens = tokens(&world).await;
    forget_document_only(&world);
    let text = document(ID).to_string();
    for page in [
        Page::new(404, "text/plain", b"x"),
        Page::new(410, "text/plain", b"x"),
        Page::new(200, "text/html", text.as_bytes()),
        Page::new(200, "application/json", b"{"),
        Page::json(&document("https://client.test/other.json")),
    ] {
        world.web.site.publish("/app.json", page);
        let answer = world.token(&refresh(&tokens.refresh)).await;
        answer.expect_error(401, "invalid_client");
    }
    world
        .web
        .site
        .publish("/app.json", Page::json(&document(ID)));
    Tokens::read(&world.token(&refresh(&tokens.refresh)).await);
}

#[tokio::test]
async fn a_document_that_no_longer_allows_refreshing_is_obeyed() {
    let world = start(TestDatabase::sqlite(), |_| ()).await;
    let tokens = tokens(&world).await;
    forget_document_only(&world);
    let mut document = document(ID);
    document["grant_types"] = serde_json::json!(["authorization_code"]);
    world.web.site.publish("/app.json", Page::json(&document));
    let answer = world.token(&refresh(&tokens.refresh)).await;
    answer.expect_error(400, "unauthorized_client");
}

#[tokio::test]
async fn who_sends_a_secret_for_a_document_client_is_refused_without_a_fetch() {
    let world = start(TestDatabase::sqlite(), |_| ()).await;
    let answer = world
        .authz
        .token(Some((ID, "secret")), "grant_type=x")
        .await;
    answer.expect_error(401, "invalid_client");
    let answer = world.token("client_secret=s&grant_type=x").await;
    answer.expect_error(401, "invalid_client");
    assert!(world.web.asked().is_empty());
}

#[tokio::test]
async fn tokens_stand_while_the_host_is_down_and_fall_when_documents_are_switched_off() {
    let database = TestDatabase::sqlite();
    let store = database.config();
    let world = start(database, |_| ()).await;
    let tokens = tokens(&world).await;
    forget_document_only(&world);
    world
        .web
        .site
        .publish("/app.json", Page::new(500, "text/plain", b"x"));
    let before = world.fetches().len();
    let userinfo = async |authz: &Authz| {
        let token = format!("Bearer {}", tokens.access);
        let request = Request::get("/userinfo").header(AUTHORIZATION, token);
        authz
            .send(request.body(axum::body::Body::empty()).unwrap())
            .await
            .status
    };
    assert_eq!(userinfo(&world.authz).await, 200);
    assert_eq!(world.fetches().len(), before);
    for change in [
        |config: &mut Config| config.authz.cimd = false,
        |config: &mut Config| config.authz.cimd_hosts = vec!["other.test".to_owned()],
    ] {
        let mut config = authz::config(store.clone());
        change(&mut config);
        let stricter = Authz::start_on(&world.web, config).await;
        assert_eq!(userinfo(&stricter).await, 401);
    }
    assert_eq!(world.fetches().len(), before);
    // Other clients do not care.
    let answer = world
        .authz
        .token(Some(BASIC), "grant_type=client_credentials")
        .await;
    assert_eq!(answer.status, 200);
}
