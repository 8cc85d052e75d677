//! The protected-resource metadata (RFC 9728), and who may read what from a web page (CORS).

use http::Method;
use portcullis_testkit::resource::{PLAIN_CHALLENGE, ProtectedServer, modern, post, request, set};
use serde_json::json;

const FORMS: [&str; 2] = [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
];

/// What a proxy, or somebody who plays one, may say about the request.
const SPOOFS: [(&str, &str); 7] = [
    ("x-forwarded-host", "evil.test"),
    ("x-forwarded-proto", "javascript"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-prefix", "/evil"),
    ("x-original-url", "https://evil.test/"),
    ("forwarded", "host=evil.test;proto=http"),
    ("x-host", "evil.test"),
];

#[tokio::test]
async fn the_metadata_says_what_a_client_needs_and_nothing_else() {
    let server = ProtectedServer::start().await;
    for path in FORMS {
        let answer = server.send(request(Method::GET, path, "")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert_eq!(
            answer.json(),
            json!({
                "resource": "https://mcp.test/mcp",
                "authorization_servers": ["https://issuer.test"],
                "scopes_supported": ["mcp:infer", "mcp:read", "mcp:write"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Portcullis",
            })
        );
    }
}

#[tokio::test]
async fn a_scope_for_refresh_tokens_is_not_offered() {
    let server = ProtectedServer::start_with(|config| {
        config.resource.scopes = "mcp:read offline_access".parse().unwrap();
    })
    .await;
    let answer = server.send(request(Method::GET, FORMS[0], "")).await;
    assert_eq!(answer.json()["scopes_supported"], json!(["mcp:read"]));
}

#[tokio::test]
async fn headers_that_a_proxy_might_set_change_neither_metadata_nor_challenge() {
    let server = ProtectedServer::start().await;
    let plain = server.send(request(Method::GET, FORMS[1], "")).await;
    let unauthorized = server.send(post("", "{}")).await;
    for (name, value) in SPOOFS {
        let mut asked = request(Method::GET, FORMS[1], "");
        set(&mut asked, name, value);
        assert_eq!(server.send(asked).await.body, plain.body, "{name}");
        let mut asked = post("", "{}");
        set(&mut asked, name, value);
        let answer = server.send(asked).await;
        assert_eq!(answer.header("www-authenticate"), PLAIN_CHALLENGE);
        assert_eq!(answer.body, unauthorized.body, "{name}");
    }
    let mut asked = request(Method::GET, FORMS[1], "");
    set(&mut asked, "host", "evil.test");
    let answer = server.send(asked).await;
    assert!(!answer.text().contains("evil"), "{answer:?}");
}

#[tokio::test]
async fn the_metadata_of_another_identifier_stands_where_its_path_puts_it() {
    let server = ProtectedServer::start_with(|config| {
        let identifier = "https://mcp.test/team/a/mcp";
        config.resource.identifier =
            portcullis_common::resource_indicator::ResourceIndicator::parse(identifier).unwrap();
    })
    .await;
    let challenge = server.send(post("", "{}")).await;
    let path = "/.well-known/oauth-protected-resource/team/a/mcp";
    let named = format!("resource_metadata=\"https://mcp.test{path}\"");
    assert!(
        challenge.header("www-authenticate").ends_with(&named),
        "{challenge:?}"
    );
    let answer = server.send(request(Method::GET, path, "")).await;
    assert_eq!(answer.json()["resource"], "https://mcp.test/team/a/mcp");
}

#[tokio::test]
async fn other_well_known_names_methods_and_paths_give_nothing_away() {
    let server = ProtectedServer::start().await;
    for path in [
        "/.well-known/",
        "/.well-known/oauth-protected-resource/other",
        "/.well-known/oauth-protected-resource/mcp/",
        "/.well-known/oauth-protected-resource/../../etc/passwd",
        "/.well-known/openid-configuration",
        "/nothing",
    ] {
        let answer = server.send(request(Method::GET, path, "")).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.is_empty(), "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = server.send(request(method, FORMS[0], "")).await;
        assert_eq!(answer.status, 405);
    }
}

#[tokio::test]
async fn any_page_may_read_the_metadata_without_cookies() {
    let server = ProtectedServer::start().await;
    let mut asked = request(Method::GET, FORMS[0], "");
    set(&mut asked, "origin", "https://anybody.test");
    let answer = server.send(asked).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(
        !answer
            .headers
            .contains_key("access-control-allow-credentials")
    );
    assert!(!answer.headers.contains_key("set-cookie"));
}

async fn with_app() -> ProtectedServer {
    ProtectedServer::start_with(|config| {
        config.resource.allowed_origins = vec!["https://app.test".to_owned()];
    })
    .await
}

fn preflight(path: &str, origin: &str) -> http::Request<axum::body::Body> {
    let mut asked = request(Method::OPTIONS, path, "");
    set(&mut asked, "origin", origin);
    set(&mut asked, "access-control-request-method", "POST");
    set(
        &mut asked,
        "access-control-request-headers",
        "authorization, mcp-method",
    );
    asked
}

#[tokio::test]
async fn a_listed_page_may_call_and_may_read_the_challenge() {
    let server = with_app().await;
    for path in ["/mcp", "/api/v1/me", "/api/v1/tools/echo"] {
        let answer = server.send(preflight(path, "https://app.test")).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://app.test"
        );
        let headers = answer.header("access-control-allow-headers");
        for header in [
            "authorization",
            "content-type",
            "mcp-method",
            "mcp-name",
            "mcp-protocol-version",
            "mcp-session-id",
        ] {
            assert!(headers.contains(header), "{header}: {headers}");
        }
        assert!(
            !answer
                .headers
                .contains_key("access-control-allow-credentials")
        );
        let mut asked = request(Method::POST, path, "");
        set(&mut asked, "origin", "https://app.test");
        let answer = server.send(asked).await;
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://app.test"
        );
        let exposed = answer.header("access-control-expose-headers");
        assert!(
            exposed.contains("www-authenticate") && exposed.contains("mcp-session-id"),
            "{exposed}"
        );
    }
    let mut asked = modern(&server.token().sign(), "tools/list", json!({}));
    set(&mut asked, "origin", "https://app.test");
    let answer = server.send(asked).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://app.test"
    );
}

#[tokio::test]
async fn a_page_that_is_not_listed_learns_nothing_and_its_origin_is_never_echoed() {
    for server in [with_app().await, ProtectedServer::start().await] {
        let token = server.token().sign();
        for path in ["/mcp", "/api/v1/me"] {
            for origin in ["https://evil.test", "null", "https://app.test.evil.test"] {
                let mut real = request(Method::POST, path, &token);
                set(&mut real, "origin", origin);
                for asked in [preflight(path, origin), real] {
                    let answer = server.send(asked).await;
                    assert!(
                        !answer.headers.contains_key("access-control-allow-origin"),
                        "{answer:?}"
                    );
                    assert!(
                        !answer
                            .headers
                            .contains_key("access-control-allow-credentials")
                    );
                }
            }
        }
    }
}
