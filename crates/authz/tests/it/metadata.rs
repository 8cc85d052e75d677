//! RFC 8414 and OpenID Connect Discovery: where the document stands and what is in it.

use http::Method;
use http::Request;
use portcullis_common::issuer::Issuer;
use portcullis_testkit::authz::{self, Authz, FILES, ISSUER, MCP};
use portcullis_testkit::database::TestDatabase;
use serde_json::json;

const FORMS: [&str; 2] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

async fn with_issuer(database: &TestDatabase, issuer: &str) -> Authz {
    let mut config = authz::config(database.config());
    config.authz.issuer = Issuer::parse(issuer).unwrap();
    Authz::start_with(config).await
}

#[tokio::test]
async fn the_document_says_what_answers_and_nothing_more() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let answer = authz.get(FORMS[0]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.json(),
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "http://localhost:8080/authorize",
            "token_endpoint": "http://localhost:8080/token",
            "revocation_endpoint": "http://localhost:8080/revoke",
            "introspection_endpoint": "http://localhost:8080/introspect",
            "userinfo_endpoint": "http://localhost:8080/userinfo",
            "registration_endpoint": "http://localhost:8080/register",
            "jwks_uri": "http://localhost:8080/jwks",
            "scopes_supported": [
                "mcp:read", "mcp:write", "mcp:infer", "openid", "profile", "email",
                "offline_access"
            ],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported":
                ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_methods_supported":
                ["none", "client_secret_basic", "client_secret_post"],
            "revocation_endpoint_auth_methods_supported":
                ["none", "client_secret_basic", "client_secret_post"],
            "introspection_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "client_id_metadata_document_supported": true,
            "protected_resources": [MCP, FILES],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    );
}

#[tokio::test]
async fn the_same_document_stands_in_every_form_for_an_issuer_with_and_without_a_path() {
    let database = TestDatabase::sqlite();
    for issuer in [
        "https://as.example",
        "https://as.example/",
        "https://as.example/a/:b",
    ] {
        let authz = with_issuer(&database, issuer).await;
        let urls = Issuer::parse(issuer).unwrap().metadata_urls();
        let first = authz.get(&urls[0]).await;
        assert_eq!(first.json()["issuer"], issuer);
        for url in urls {
            let answer = authz.get(&url).await;
            assert_eq!(
                (answer.status.as_u16(), answer.body),
                (200, first.body.clone()),
                "{url}"
            );
        }
    }
}

#[tokio::test]
async fn every_endpoint_that_the_document_names_answers() {
    let database = TestDatabase::sqlite();
    for issuer in ["https://as.example", "https://as.example/a"] {
        let authz = with_issuer(&database, issuer).await;
        let urls = Issuer::parse(issuer).unwrap().metadata_urls();
        let document = authz.get(&urls[0]).await.json();
        let endpoints = document
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri"));
        let mut count = 0;
        for (name, url) in endpoints {
            let answer = authz.get(url.as_str().unwrap()).await;
            assert_ne!(answer.status, 404, "{name}");
            assert!(!answer.status.is_server_error(), "{name}");
            count += 1;
        }
        assert_eq!(count, 7);
    }
}

#[tokio::test]
async fn an_issuer_with_a_path_answers_nowhere_else() {
    let database = TestDatabase::sqlite();
    let authz = with_issuer(&database, "https://as.example/a").await;
    for path in [
        FORMS[0],
        FORMS[1],
        "/token",
        "/jwks",
        "/a/.well-known/oauth-authorization-server",
    ] {
        authz.get(path).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn forged_hosts_and_forwarded_headers_change_nothing() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let honest = authz.get(FORMS[0]).await;
    let forged = Request::get(FORMS[0])
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "gopher")
        .header("forwarded", "host=evil.example;proto=gopher");
    let answer = authz
        .send(forged.body(axum::body::Body::empty()).unwrap())
        .await;
    assert_eq!(answer.body, honest.body);
    assert_eq!(answer.headers, honest.headers);
}

#[tokio::test]
async fn unknown_names_are_404_and_wrong_methods_405() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    for path in [
        "/.well-known/x",
        "/.well-known/",
        "/nothing",
        "/token/../x",
        "/register/x/y",
        "/par",
    ] {
        authz.get(path).await.expect_error(404, "not_found");
    }
    for path in [FORMS[0], FORMS[1], "/jwks"] {
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let request = Request::builder().method(method).uri(path);
            let answer = authz
                .send(request.body(axum::body::Body::empty()).unwrap())
                .await;
            answer.expect_error(405, "invalid_request");
            assert_eq!(answer.header("allow"), "GET,HEAD");
        }
    }
}

#[tokio::test]
async fn documents_may_be_cached_for_at_most_the_overlap_of_a_rotation() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    for path in [FORMS[0], FORMS[1], "/jwks"] {
        let answer = authz.get(path).await;
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=300",
            "{path}"
        );
        assert_eq!(answer.header("set-cookie"), "");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}
