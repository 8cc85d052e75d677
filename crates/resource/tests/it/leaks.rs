//! What the server says when it says no: never how it is made, never a piece of what was sent.

use std::time::Duration;

use http::Method;
use portcullis_testkit::answer::Answer;
use portcullis_testkit::logs::CapturedLog;
use portcullis_testkit::resource::{
    ProtectedServer, initialize, legacy, modern, post, request, set,
};
use portcullis_testkit::token::tampered;
use serde_json::{Value, json};

/// Ways to be refused, each with a name for the one that leaks.
type Refusals = Vec<(&'static str, Answer)>;

async fn of_tokens(server: &ProtectedServer) -> Refusals {
    let good = server.token().sign();
    let weak = server.token().claim("scope", "mcp:read").sign();
    let robot = server.token().of_client("robot").sign();
    let mut all = vec![("no token", server.send(post("", "{}")).await)];
    for (name, token) in [
        ("signature", tampered(&good)),
        ("expired", server.token().claim("exp", 1).sign()),
        (
            "audience",
            server.token().claim("aud", "https://x.test").sign(),
        ),
        (
            "issuer",
            server.token().claim("iss", "https://secret.test").sign(),
        ),
        ("kid", server.token().header("kid", "secret-kid").sign()),
        ("claim", server.token().claim("sub", json!([1])).sign()),
        ("not a token", "secret-text".to_owned()),
    ] {
        all.push((name, server.echo(&token).await));
    }
    all.push(("scope", server.call(&weak, "note_add", json!({})).await));
    all.push(("client", server.call(&robot, "note_add", json!({})).await));
    all
}

async fn of_bodies_and_headers(server: &ProtectedServer, good: &str) -> Refusals {
    let mut all = Refusals::new();
    for (name, body) in [
        ("syntax", "{\"secret\":".to_owned()),
        ("batch", "[1]".to_owned()),
        ("twice", r#"{"secret":1,"secret":2}"#.to_owned()),
        ("deep", "[".repeat(1000)),
        ("large", " ".repeat(2 << 20)),
    ] {
        all.push((name, server.send(post(good, &body)).await));
    }
    for (name, header, value) in [
        ("media type", "content-type", "secret/secret"),
        ("encoding", "content-encoding", "gzip"),
        ("origin", "origin", "https://secret.test"),
        ("host", "host", "secret.test"),
        ("accept", "accept", "text/html"),
        ("mismatch", "mcp-name", "secret"),
        ("version", "mcp-protocol-version", "1999-01-01"),
    ] {
        let params = json!({ "name": "echo", "arguments": { "message": "x" } });
        let mut asked = modern(good, "tools/call", params);
        set(&mut asked, header, value);
        all.push((name, server.send(asked).await));
    }
    all
}

async fn of_messages(server: &ProtectedServer, good: &str) -> Refusals {
    let mut all = Refusals::new();
    let divide = json!({ "operation": "divide", "operands": [1, 0] });
    for (name, method, params) in [
        ("method", "no/such", json!({})),
        (
            "tool",
            "tools/call",
            json!({ "name": "missing", "arguments": {} }),
        ),
        (
            "params",
            "tools/call",
            json!({ "name": "echo", "arguments": 7 }),
        ),
        (
            "arguments",
            "tools/call",
            json!({ "name": "echo", "arguments": { "message": 7 } }),
        ),
        (
            "domain",
            "tools/call",
            json!({ "name": "calculate", "arguments": divide }),
        ),
        (
            "resource",
            "resources/read",
            json!({ "uri": "file:///secret" }),
        ),
        ("prompt", "prompts/get", json!({ "name": "missing" })),
        ("cursor", "tools/list", json!({ "cursor": "x" })),
    ] {
        all.push((name, server.send(modern(good, method, params)).await));
    }
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let unknown = legacy(good, Some("secret-session"), &initialize());
    all.push(("session", server.send(unknown).await));
    all.push(("no session", server.send(legacy(good, None, &list)).await));
    all
}

async fn of_the_plain_view(server: &ProtectedServer, good: &str) -> Refusals {
    let mut all = Refusals::new();
    let divide = json!({ "operation": "divide", "operands": [1, 0] });
    for (name, method, path, body) in [
        ("path", Method::GET, "/api/v1/secret", Value::Null),
        (
            "probe",
            Method::GET,
            "/api/v1/protected/secret",
            Value::Null,
        ),
        ("rest tool", Method::POST, "/api/v1/tools/secret", json!({})),
        (
            "rest method",
            Method::DELETE,
            "/api/v1/tools/echo",
            Value::Null,
        ),
        (
            "rest arguments",
            Method::POST,
            "/api/v1/tools/echo",
            json!({ "message": 7 }),
        ),
        (
            "rest domain",
            Method::POST,
            "/api/v1/tools/calculate",
            divide,
        ),
    ] {
        all.push((name, server.rest(good, method, path, &body).await));
    }
    all.push(("405", server.send(request(Method::PUT, "/mcp", good)).await));
    all.push((
        "404",
        server.send(request(Method::GET, "/secret", "")).await,
    ));
    all
}

/// Every way to be refused.
async fn refusals(server: &ProtectedServer) -> Refusals {
    let good = server.token().sign();
    let mut all = of_tokens(server).await;
    all.extend(of_bodies_and_headers(server, &good).await);
    all.extend(of_messages(server, &good).await);
    all.extend(of_the_plain_view(server, &good).await);
    server.issuer.go_down();
    server.clock.advance(Duration::from_secs(48 * 3600));
    all.push(("no keys", server.echo(&server.token().sign()).await));
    all
}

#[tokio::test]
async fn no_refusal_tells_how_the_server_is_made_or_repeats_what_was_secret() {
    let log = CapturedLog::begin();
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let parts: Vec<&str> = token.split('.').collect();
    let refusals = refusals(&server).await;
    assert!(refusals.len() >= 40);
    for (name, answer) in &refusals {
        let said = format!("{:?} {}", answer.headers, answer.text());
        let lower = said.to_lowercase();
        // An error of the protocol, or of a tool, may stand in an answer that arrived well.
        let is_error = || {
            let message = answer.message();
            message.get("error").is_some() || message["result"]["isError"] == true
        };
        match answer.status.as_u16() {
            200 => assert!(is_error(), "{name}: {answer:?}"),
            status => assert!(
                (400..500).contains(&status) || status == 503,
                "{name}: {status}"
            ),
        }
        for leak in [
            "panicked",
            "backtrace",
            "stack",
            ".rs",
            "src/",
            "/root",
            "/home",
            "/etc",
            "cargo",
            "sqlite",
            "select ",
            "insert ",
            "rmcp",
            "axum",
            "hyper",
            "tokio",
            "serde",
            "josekit",
            "aws_lc",
            "rustc",
            "line 1",
            "column",
            "expected",
            "unwrap",
            "none",
            "some(",
            "err(",
        ] {
            assert!(!lower.contains(leak), "{name} says {leak}: {said}");
        }
        // What arrived as a result names the server and its version, as the protocol asks.
        let is_result = answer.status == 200;
        let version = env!("CARGO_PKG_VERSION");
        assert!(is_result || !said.contains(version), "{name}: {said}");
        for part in &parts {
            assert!(!said.contains(part), "{name} repeats the token: {said}");
        }
        assert!(!answer.headers.contains_key("server"), "{name}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{name}");
    }
    let log = log.text();
    for secret in ["secret-text", "secret-session", parts[1], parts[2]] {
        assert!(!log.contains(secret), "the log says {secret}");
    }
}
