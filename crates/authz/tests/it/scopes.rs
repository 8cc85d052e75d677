//! OAuth 2.1 §3.3: what a token allows is what was asked for, whole, or a refusal.

use portcullis_testkit::authz::{Answer, Authz, BASIC, FILES, WRITER};
use portcullis_testkit::database::TestDatabase;

async fn ask(basic: (&str, &str), parameters: &str) -> Answer {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let body = format!("grant_type=client_credentials&{parameters}");
    authz.token(Some(basic), &body).await
}

async fn granted(basic: (&str, &str), parameters: &str) -> String {
    let answer = ask(basic, parameters).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["scope"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_gets_the_scope_it_asks_for() {
    assert_eq!(granted(BASIC, "scope=mcp:write").await, "mcp:write");
    assert_eq!(
        granted(BASIC, "scope=mcp:write+mcp:infer+mcp:write").await,
        "mcp:infer mcp:write"
    );
}

#[tokio::test]
async fn a_client_that_asks_for_none_gets_the_default() {
    assert_eq!(granted(BASIC, "").await, "mcp:read");
    assert_eq!(granted(BASIC, "scope=").await, "mcp:read");
    assert_eq!(granted(BASIC, "scope=+").await, "mcp:read");
}

#[tokio::test]
async fn what_a_clients_scope_implies_is_its_own_too() {
    assert_eq!(granted(WRITER, "").await, "mcp:read");
    assert_eq!(
        granted(WRITER, "scope=mcp:read+mcp:write").await,
        "mcp:read mcp:write"
    );
}

#[tokio::test]
async fn a_scope_beyond_the_client_the_resource_or_the_declared_ones_is_refused_whole() {
    for (basic, parameters) in [
        (WRITER, "scope=mcp:infer"),
        (WRITER, "scope=mcp:write+mcp:infer"),
        (BASIC, "scope=mcp:admin"),
        (BASIC, "scope=mcp:read+openid"),
        (BASIC, "scope=MCP:READ"),
        (BASIC, &format!("scope=mcp:write&resource={FILES}")),
    ] {
        ask(basic, parameters)
            .await
            .expect_error(400, "invalid_scope");
    }
}

#[tokio::test]
async fn a_scope_outside_the_grammar_or_of_absurd_size_is_refused() {
    let many: Vec<_> = (0..10_000).map(|number| number.to_string()).collect();
    for scope in [
        "a%22b".to_owned(),
        "a%5Cb".to_owned(),
        "a%00".to_owned(),
        "a%0Ab".to_owned(),
        "%C3%A4".to_owned(),
        "x".repeat(50_000),
        many.join("+"),
    ] {
        ask(BASIC, &format!("scope={scope}"))
            .await
            .expect_error(400, "invalid_scope");
    }
}

#[tokio::test]
async fn a_client_for_whom_no_default_is_left_must_name_a_scope() {
    let database = TestDatabase::sqlite();
    let mut config = portcullis_testkit::authz::config(database.config());
    config.authz.default_scopes = "mcp:infer".parse().unwrap();
    let authz = Authz::start_with(config).await;
    let body = "grant_type=client_credentials";
    authz
        .token(Some(WRITER), body)
        .await
        .expect_error(400, "invalid_scope");
}
