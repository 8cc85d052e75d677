//! RFC 8707: a token is for the one resource that was asked for.

use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_testkit::authz::{self, Answer, Authz, BASIC, FILES, MCP};
use portcullis_testkit::database::TestDatabase;

use crate::verify;

async fn start() -> (TestDatabase, Authz) {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    (database, authz)
}

async fn ask(authz: &Authz, parameters: &str) -> Answer {
    let body = format!("grant_type=client_credentials&{parameters}");
    authz.token(Some(BASIC), &body).await
}

#[tokio::test]
async fn the_audience_is_exactly_the_canonical_form_of_what_was_asked_for() {
    let (_database, authz) = start().await;
    for (parameters, audience) in [
        (String::new(), MCP),
        ("resource=".to_owned(), MCP),
        (format!("resource={MCP}"), MCP),
        (format!("resource={FILES}"), FILES),
        (format!("resource={FILES}&resource={FILES}"), FILES),
        ("resource=HTTPS://FILES.example:443/mcp".to_owned(), FILES),
    ] {
        let answer = ask(&authz, &parameters).await;
        assert_eq!(answer.status, 200, "{parameters}: {answer:?}");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let claims = verify::claims(&authz, &token).await.unwrap();
        assert_eq!(claims["aud"], audience, "{parameters}");
    }
}

#[tokio::test]
async fn an_unknown_or_malformed_resource_or_two_of_them_are_refused() {
    let (_database, authz) = start().await;
    for parameters in [
        "resource=https://elsewhere.example/mcp".to_owned(),
        "resource=http://localhost:8080".to_owned(),
        "resource=http://localhost:8080/mcp/".to_owned(),
        "resource=http://localhost:8080/MCP".to_owned(),
        "resource=http://localhost:8080/mcp%23x".to_owned(),
        "resource=http://u@localhost:8080/mcp".to_owned(),
        "resource=/mcp".to_owned(),
        "resource=mcp".to_owned(),
        "resource=urn:x".to_owned(),
        "resource=http://files.example/mcp".to_owned(),
        format!("resource={MCP}&resource={FILES}"),
        format!("resource={MCP}&resource=nonsense"),
        format!("resource=https://h/{}", "x".repeat(3000)),
    ] {
        ask(&authz, &parameters)
            .await
            .expect_error(400, "invalid_target");
    }
}

#[tokio::test]
async fn without_a_default_resource_one_must_be_named() {
    let database = TestDatabase::sqlite();
    let mut config = authz::config(database.config());
    config.authz.default_resource = None;
    let authz = Authz::start_with(config).await;
    ask(&authz, "").await.expect_error(400, "invalid_target");
    assert_eq!(ask(&authz, &format!("resource={FILES}")).await.status, 200);
}

#[tokio::test]
async fn a_bare_origin_is_found_with_and_without_its_slash() {
    let database = TestDatabase::sqlite();
    let mut config = authz::config(database.config());
    let files = config.authz.resources.last_mut().unwrap();
    files.identifier = ResourceIndicator::parse("https://files.example/").unwrap();
    let authz = Authz::start_with(config).await;
    for asked in ["https://files.example", "https://files.example/"] {
        let answer = ask(&authz, &format!("resource={asked}")).await;
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let claims = verify::claims(&authz, &token).await.unwrap();
        assert_eq!(claims["aud"], "https://files.example");
    }
}
