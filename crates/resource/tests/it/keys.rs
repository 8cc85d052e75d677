//! The keys of issuers: floods, rotation, outages, and several issuers at once.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use portcullis_common::config::SigningAlgorithm;
use portcullis_testkit::issuer::{TestIssuer, key};
use portcullis_testkit::logs::CapturedLog;
use portcullis_testkit::resource::{ISSUER, ProtectedServer};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::verdict::{accepted, refused};

#[tokio::test]
async fn a_flood_of_invented_key_ids_costs_one_fetch_per_cooldown_and_no_good_token() {
    let server = Arc::new(ProtectedServer::start().await);
    accepted(&server, &server.token().sign()).await;
    let fetches = || server.network.key_set_fetches(&server.issuer);
    assert_eq!(fetches(), 1);
    for second in 1..=10 {
        server.clock.advance(Duration::from_secs(1));
        let mut calls = JoinSet::new();
        for number in 0..100 {
            let kid = format!("invented-{second}-{number}");
            let invented = server.token().header("kid", kid).sign();
            let asked = Arc::clone(&server);
            calls.spawn(async move { refused(&asked, &invented).await });
            if number % 10 == 0 {
                let good = server
                    .token()
                    .claim("jti", format!("{second}-{number}"))
                    .sign();
                let asked = Arc::clone(&server);
                calls.spawn(async move { accepted(&asked, &good).await });
            }
        }
        calls.join_all().await;
    }
    assert_eq!(fetches(), 2);
}

#[tokio::test]
async fn a_new_key_counts_at_first_sight_and_a_withdrawn_one_until_the_copy_has_lived_its_time() {
    let server = ProtectedServer::start().await;
    let old = server
        .token()
        .claim("exp", server.token().number("iat") + 9000)
        .sign();
    accepted(&server, &old).await;
    let (before, after) = (server.issuer.signing_key(), key(SigningAlgorithm::Es256, 1));
    server.issuer.publish([before, after.clone()]);
    server.issuer.sign_with(after.clone());
    server.clock.advance(Duration::from_secs(10));
    accepted(&server, &server.token().sign()).await;
    assert_eq!(server.network.key_set_fetches(&server.issuer), 2);
    accepted(&server, &old).await;

    server.issuer.publish([after]);
    accepted(&server, &old).await;
    server.clock.advance(Duration::from_secs(3600));
    refused(&server, &old).await;
    accepted(&server, &server.token().sign()).await;
}

#[tokio::test]
async fn while_the_issuer_is_down_known_keys_are_good_until_they_are_stale() {
    let server = ProtectedServer::start().await;
    accepted(&server, &server.token().sign()).await;
    server.issuer.go_down();
    server
        .clock
        .advance(Duration::from_secs(3600 + 24 * 3600 - 1));
    accepted(&server, &server.token().sign()).await;
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(server.echo(&server.token().sign()).await.status, 503);
    server.issuer.come_back();
    server.clock.advance(Duration::from_secs(10));
    accepted(&server, &server.token().sign()).await;
}

#[tokio::test]
async fn a_broken_or_empty_key_set_does_not_replace_a_good_one() {
    let server = ProtectedServer::start().await;
    let old = || server.token();
    accepted(&server, &old().sign()).await;
    for broken in [
        "",
        "{",
        "<html>",
        "{\"keys\":[]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\",\"kid\":\"a\"}]}",
    ] {
        server.issuer.publish_text(broken);
        server.clock.advance(Duration::from_secs(3600));
        accepted(&server, &old().sign()).await;
    }
}

#[tokio::test]
async fn a_probe_leaves_a_line_in_the_log_only_when_the_answer_is_bad() {
    let log = CapturedLog::begin();
    let server = ProtectedServer::start().await;
    let ask = |path| server.rest("", Method::GET, path, &Value::Null);
    server.state().keep_warm().await;
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(ask(path).await.status, 200, "{path}");
    }
    assert!(!log.text().contains("portcullis::access"), "{}", log.text());
    server.issuer.go_down();
    server.clock.advance(Duration::from_secs(2 * 86_400));
    server.state().keep_warm().await;
    assert_eq!(ask("/readyz").await.status, 503);
    assert!(log.text().contains("portcullis::access"));
}

#[tokio::test]
async fn with_the_issuer_down_at_the_start_calls_are_503_until_it_answers() {
    let server = ProtectedServer::start().await;
    server.issuer.go_down();
    server.state().keep_warm().await;
    assert!(server.state().ready().is_err());
    let answer = server.echo(&server.token().sign()).await;
    answer.expect_error(503, "temporarily_unavailable");
    assert_eq!(answer.header("retry-after"), "5");
    assert!(!answer.headers.contains_key("www-authenticate"));
    let answer = server.rest("", Method::GET, "/readyz", &Value::Null).await;
    assert_eq!(answer.status, 503);
    let answer = server.rest("", Method::GET, "/livez", &Value::Null).await;
    assert_eq!(answer.status, 200);

    server.issuer.come_back();
    server.clock.advance(Duration::from_secs(10));
    server.state().keep_warm().await;
    assert!(server.state().ready().is_ok());
    accepted(&server, &server.token().sign()).await;
    let answer = server.rest("", Method::GET, "/readyz", &Value::Null).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn metadata_that_names_another_issuer_gives_no_keys() {
    let (ours, theirs) = (TestIssuer::new(ISSUER), TestIssuer::new("https://two.test"));
    let server = ProtectedServer::start_among(vec![theirs, ours], |config| {
        // Metadata of the first is fetched where the second one stands.
        config.resource.authorization_servers[0].internal_url = Some(ISSUER.to_owned());
    })
    .await;
    server.state().keep_warm().await;
    assert!(server.state().ready().is_err());
    assert_eq!(server.echo(&server.token().sign()).await.status, 503);
}

#[tokio::test]
async fn each_issuer_has_its_own_token_types_and_its_own_place_for_roles() {
    let (first, second) = (
        TestIssuer::new(ISSUER),
        TestIssuer::new("https://two.test/realms/a"),
    );
    let server = ProtectedServer::start_among(vec![first.clone(), second.clone()], |config| {
        let other = &mut config.resource.authorization_servers[1];
        other.token_types = vec!["at+jwt".to_owned(), "jwt".to_owned()];
        other.roles_claim = vec!["realm_access".to_owned(), "roles".to_owned()];
    })
    .await;
    let claims = |issuer: &TestIssuer| {
        server
            .token_of(issuer)
            .claim("roles", json!(["one"]))
            .claim("realm_access", json!({ "roles": ["two", "admin"] }))
    };
    let roles = async |token: &str| {
        let answer = server
            .rest(token, Method::GET, "/api/v1/me", &Value::Null)
            .await;
        answer.json()["roles"].clone()
    };
    assert_eq!(roles(&claims(&first).sign()).await, json!(["one"]));
    assert_eq!(
        roles(&claims(&second).sign()).await,
        json!(["two", "admin"])
    );
    accepted(&server, &claims(&second).header("typ", "JWT").sign()).await;
    refused(&server, &claims(&first).header("typ", "JWT").sign()).await;
}

#[tokio::test]
async fn one_issuer_that_is_down_does_not_keep_the_tokens_of_another_out() {
    let (first, second) = (TestIssuer::new(ISSUER), TestIssuer::new("https://two.test"));
    let issuers = vec![first.clone(), second.clone()];
    let server = ProtectedServer::start_among(issuers, |_| {}).await;
    second.go_down();
    accepted(&server, &server.token_of(&first).sign()).await;
    assert_eq!(
        server.echo(&server.token_of(&second).sign()).await.status,
        503
    );
}
