//! Headers, places and methods of the MCP endpoint (MCP, streamable HTTP).

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method};
use portcullis_testkit::resource::{
    ProtectedServer, initialize, legacy, modern, request, sentinel, set,
};
use serde_json::{Value, json};

use crate::verdict::rpc_error;

fn add_note() -> Value {
    json!({ "name": "note_add", "arguments": { "text": "a mark" } })
}

#[tokio::test]
async fn a_header_that_says_another_thing_than_the_body_is_refused_and_nothing_runs() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let wrong = [
        ("mcp-method", "tools/list".to_owned()),
        ("mcp-method", "tools/Call".to_owned()),
        ("mcp-method", sentinel("tools/list")),
        ("mcp-method", String::new()),
        ("mcp-name", "echo".to_owned()),
        ("mcp-name", "NOTE_ADD".to_owned()),
        ("mcp-name", sentinel("echo")),
        ("mcp-name", "=?base64?bm90ZV9hZGQ?=".to_owned()),
        ("mcp-name", "=?base64?!!!?=".to_owned()),
        (
            "mcp-name",
            format!("=?base64?{}?=", STANDARD.encode([0xff])),
        ),
        (
            "mcp-name",
            format!("=?BASE64?{}?=", STANDARD.encode("note_add")),
        ),
        ("mcp-name", sentinel(&sentinel("note_add"))),
        ("mcp-protocol-version", "2025-11-25".to_owned()),
        ("mcp-protocol-version", "2025-06-18".to_owned()),
        ("mcp-protocol-version", "x".to_owned()),
    ];
    for (header, value) in wrong {
        let mut asked = modern(&token, "tools/call", add_note());
        set(&mut asked, header, &value);
        let answer = server.send(asked).await;
        assert_eq!(rpc_error(&answer), (400, -32020), "{header}: {value}");
        assert_eq!(answer.json()["id"], 7);
    }
    for header in ["mcp-method", "mcp-name", "mcp-protocol-version"] {
        let mut asked = modern(&token, "tools/call", add_note());
        asked.headers_mut().remove(header);
        let answer = server.send(asked).await;
        assert_eq!(rpc_error(&answer), (400, -32020), "without {header}");
        let mut asked = modern(&token, "tools/call", add_note());
        let same = asked.headers()[header].clone();
        asked.headers_mut().append(header, same);
        let answer = server.send(asked).await;
        assert_eq!(rpc_error(&answer), (400, -32020), "{header} twice");
    }
    assert_eq!(server.count_notes(&token).await, 0);
}

#[tokio::test]
async fn a_name_may_be_encoded_and_then_the_decoded_text_counts() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let mut asked = modern(&token, "tools/call", add_note());
    set(&mut asked, "mcp-name", &sentinel("note_add"));
    assert_eq!(server.send(asked).await.status, 200);
    assert_eq!(server.count_notes(&token).await, 1);
}

#[tokio::test]
async fn the_scope_follows_the_body_whatever_the_headers_say() {
    let server = ProtectedServer::start().await;
    let weak = server.token().claim("scope", "mcp:read").sign();
    let strong = server.token().sign();
    for (header, value) in [("mcp-name", "echo"), ("mcp-method", "tools/list")] {
        let mut asked = modern(&weak, "tools/call", add_note());
        set(&mut asked, header, value);
        assert_eq!(server.send(asked).await.status, 400);
    }
    // Revisions without these headers: there is only the body.
    let session = server.open_session(&weak).await;
    let body = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": add_note()});
    let mut asked = legacy(&weak, Some(&session), &body);
    assert_eq!(server.send(asked).await.status, 403);
    asked = legacy(&weak, Some(&session), &body);
    set(&mut asked, "mcp-name", "echo");
    assert_eq!(rpc_error(&server.send(asked).await), (400, -32020));
    assert_eq!(server.count_notes(&strong).await, 0);
}

#[tokio::test]
async fn a_foreign_origin_is_refused_with_and_without_a_good_token() {
    let server = ProtectedServer::start_with(|config| {
        config.resource.allowed_origins = vec!["https://app.test".to_owned()];
    })
    .await;
    let token = server.token().sign();
    for path in ["/mcp", "/api/v1/me"] {
        for foreign in [
            "null",
            "https://evil.test",
            "https://x.app.test",
            "https://app.test.evil.test",
            "https://app.test:8443",
            "http://app.test",
            "https://APP.test",
            "https://app.test/",
            "app.test",
            "",
        ] {
            for token in ["", token.as_str()] {
                let mut asked = request(Method::POST, path, token);
                set(&mut asked, "origin", foreign);
                let answer = server.send(asked).await;
                answer.expect_error(403, "origin_not_allowed");
                assert!(!answer.headers.contains_key("access-control-allow-origin"));
            }
        }
        let mut two = request(Method::POST, path, &token);
        for origin in ["https://app.test", "https://evil.test"] {
            two.headers_mut()
                .append("origin", HeaderValue::from_static(origin));
        }
        assert_eq!(server.send(two).await.status, 403);
    }
    for own in ["https://app.test", "https://mcp.test"] {
        let mut asked = modern(&token, "tools/list", json!({}));
        set(&mut asked, "origin", own);
        assert_eq!(server.send(asked).await.status, 200, "{own}");
    }
}

#[tokio::test]
async fn only_its_own_host_is_answered_and_the_refusal_names_the_right_url() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let to = |host: &str| {
        let mut asked = modern(&token, "tools/list", json!({}));
        set(&mut asked, "host", host);
        asked
    };
    for host in [
        "evil.test",
        "127.0.0.1",
        "[::1]",
        "localhost",
        "mcp.test.evil.test",
        "x.mcp.test",
    ] {
        let answer = server.send(to(host)).await;
        answer.expect_error(421, "misdirected_request");
        assert!(
            answer.text().contains("Use https://mcp.test/mcp"),
            "{answer:?}"
        );
    }
    for host in ["", "x@mcp.test", "mcp.test@evil.test"] {
        let status = server.send(to(host)).await.status.as_u16();
        assert!([400, 421].contains(&status), "{host}: {status}");
    }
    let mut none = to("mcp.test");
    none.headers_mut().remove("host");
    assert_eq!(server.send(none).await.status, 400);
    let mut two = to("mcp.test");
    two.headers_mut()
        .append("host", HeaderValue::from_static("mcp.test"));
    assert_eq!(server.send(two).await.status, 400);
    let mut absolute = to("mcp.test");
    *absolute.uri_mut() = "http://evil.test/mcp".parse().unwrap();
    assert_eq!(server.send(absolute).await.status, 400);
    for host in ["mcp.test", "MCP.test", "mcp.test:443"] {
        assert_eq!(server.send(to(host)).await.status, 200, "{host}");
    }
    for path in ["/livez", "/readyz", "/health"] {
        let mut asked = request(Method::GET, path, "");
        set(&mut asked, "host", "10.0.0.7:9100");
        server.state().keep_warm().await;
        assert_eq!(server.send(asked).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn other_methods_are_405_behind_the_token_and_an_override_is_ignored() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    for method in [
        "GET", "HEAD", "DELETE", "PUT", "PATCH", "TRACE", "OPTIONS", "BREW",
    ] {
        let mut asked = request(
            Method::from_bytes(method.as_bytes()).unwrap(),
            "/mcp",
            &token,
        );
        set(&mut asked, "mcp-protocol-version", "2026-07-28");
        let answer = server.send(asked).await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(
            answer.header("allow").contains("POST"),
            "{method}: {answer:?}"
        );
    }
    let mut asked = modern(&token, "tools/call", add_note());
    for header in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        set(&mut asked, header, "DELETE");
    }
    assert_eq!(server.send(asked).await.status, 200);
    assert_eq!(server.count_notes(&token).await, 1);
}

#[tokio::test]
async fn an_unknown_method_is_401_first_and_then_404_with_its_code() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let unknown = |token: &str| modern(token, "no/such", json!({}));
    assert_eq!(server.send(unknown("")).await.status, 401);
    assert_eq!(
        rpc_error(&server.send(unknown(&token)).await),
        (404, -32601)
    );
    let mut old = modern(&token, "tools/list", json!({}));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "1999-01-01",
        "io.modelcontextprotocol/clientCapabilities": {},
    }}});
    set(&mut old, "mcp-protocol-version", "1999-01-01");
    *old.body_mut() = Body::from(body.to_string());
    let answer = server.send(old).await;
    assert_eq!(answer.status, 400);
    let supported = answer.json()["error"]["data"]["supported"].clone();
    assert!(
        supported.as_array().unwrap().contains(&json!("2026-07-28")),
        "{answer:?}"
    );
    let mut versionless = legacy(
        &token,
        None,
        &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
    );
    versionless.headers_mut().remove("mcp-protocol-version");
    assert_eq!(server.send(versionless).await.status, 400);
}

#[tokio::test]
async fn answers_may_not_be_sniffed_stored_or_held_back() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let call = server.echo(&token).await;
    assert_eq!(call.header("x-content-type-options"), "nosniff");
    assert_eq!(call.header("cache-control"), "no-store");
    assert_eq!(
        call.header("strict-transport-security"),
        "max-age=31536000; includeSubDomains"
    );
    assert!(!call.header("x-correlation-id").is_empty());
    for path in ["/api/v1/me", "/api/v1/tools"] {
        let answer = server.rest(&token, Method::GET, path, &Value::Null).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let stream = server.send(legacy(&token, None, &initialize())).await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    assert_eq!(stream.header("x-accel-buffering"), "no");
    assert_eq!(stream.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_resource_that_is_missing_and_one_that_is_forbidden_look_the_same() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let read = async |uri: &str| {
        let asked = modern(&token, "resources/read", json!({ "uri": uri }));
        let answer = server.send(asked).await;
        let error = answer.json()["error"].clone();
        (
            answer.status.as_u16(),
            error["code"].clone(),
            error["message"].clone(),
        )
    };
    let missing = read("portcullis://missing").await;
    for uri in [
        "portcullis://settings",
        "portcullis://server-info/../settings",
        "portcullis://server-info/%2e%2e%2fsettings",
        "portcullis://server-info/..%5csettings",
        "PORTCULLIS://settings",
        "/etc/passwd",
        "file:///etc/passwd",
        "file://host/etc/passwd",
        "../../etc/passwd",
        "portcullis://server-info\0",
        "",
    ] {
        assert_eq!(read(uri).await, missing, "{uri}");
    }
    let admin = server.token().claim("roles", json!(["admin"])).sign();
    let asked = modern(
        &admin,
        "resources/read",
        json!({ "uri": "portcullis://settings" }),
    );
    assert_eq!(server.send(asked).await.status, 200);
}
