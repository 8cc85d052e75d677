//! One JSON-RPC message per POST: headers, bodies, places and methods (MCP, streamable HTTP).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method};
use portcullis_testkit::answer::Answer;
use portcullis_testkit::logs::CapturedLog;
use portcullis_testkit::resource::{
    ProtectedServer, initialize, legacy, modern, post, request, sentinel, set,
};
use serde_json::{Value, json};

/// The JSON-RPC error of an answer.
fn rpc_error(answer: &Answer) -> (u16, i64) {
    let code = answer.json()["error"]["code"].as_i64().unwrap();
    (answer.status.as_u16(), code)
}

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
async fn a_batch_is_refused_whole() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let one = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": add_note()});
    for count in [0, 1, 2, 3000] {
        let batch = Value::Array(vec![one.clone(); count]);
        for body in [batch.to_string(), format!(" \n{batch}")] {
            assert_eq!(
                rpc_error(&server.send(post(&token, &body)).await),
                (400, -32600)
            );
            let mut asked = modern(&token, "tools/call", add_note());
            *asked.body_mut() = Body::from(body);
            assert_eq!(rpc_error(&server.send(asked).await), (400, -32600));
        }
    }
    let short = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"a": 1}});
    let batch = Value::Array(vec![short; 10_000]).to_string();
    let answer = server.send(post(&token, &batch)).await;
    assert_eq!(rpc_error(&answer), (400, -32600));
    assert_eq!(server.count_notes(&token).await, 0);
}

#[tokio::test]
async fn what_is_not_a_message_is_refused_with_the_code_of_json_rpc() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("hello", -32700),
        ("{} {}", -32700),
        ("null", -32600),
        ("7", -32600),
        ("\"tools/call\"", -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"tools/list"}"#, -32600),
        (r#"{"jsonrpc":2.0,"id":1,"method":"tools/list"}"#, -32600),
        (r#"{"id":1,"method":"tools/list"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":[1],"method":"tools/list"}"#,
            -32600,
        ),
        (r#"{"jsonrpc":"2.0","id":{},"method":"tools/list"}"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","result":{}}"#,
            -32600,
        ),
    ] {
        let answer = server.send(post(&token, body)).await;
        assert_eq!(rpc_error(&answer), (400, code), "{body}");
    }
}

#[tokio::test]
async fn a_repeated_member_anywhere_in_the_body_is_refused_and_nothing_runs() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let weak = server.token().claim("scope", "mcp:read").sign();
    for params in [
        r#""method":"tools/list","method":"tools/call","params":{"name":"note_add","arguments":{"text":"a"}}"#,
        r#""method":"tools/call","params":{"name":"echo","name":"note_add","arguments":{"text":"a"}}"#,
        r#""method":"tools/call","params":{"name":"echo","n\u0061me":"note_add","arguments":{"text":"a"}}"#,
        r#""method":"tools/call","params":{"name":"note_add","arguments":{"text":"a","text":"b"}}"#,
        r#""method":"tools/call","params":{"name":"echo"},"params":{"name":"note_add","arguments":{"text":"a"}}"#,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,{params}}}"#);
        for token in [&token, &weak] {
            let answer = server.send(post(token, &body)).await;
            assert_eq!(rpc_error(&answer), (400, -32600), "{body}");
        }
    }
    let mut twice = request(Method::POST, "/api/v1/tools/note_add", &token);
    set(&mut twice, "content-type", "application/json");
    *twice.body_mut() = Body::from(r#"{"text":"a","text":"b"}"#);
    server
        .send(twice)
        .await
        .expect_error(400, "invalid_request");
    assert_eq!(server.count_notes(&token).await, 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_not_read_beyond_it() {
    let limit = 4096;
    let server = ProtectedServer::start_with(|config| config.resource.max_body = limit).await;
    let token = server.token().sign();
    let padded = |size: usize| {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
        format!("{call}{}", " ".repeat(size - call.len()))
    };
    assert_ne!(server.send(post(&token, &padded(limit))).await.status, 413);
    for over in [limit + 1, 10 * limit] {
        let answer = server.send(post(&token, &padded(over))).await;
        answer.expect_error(413, "invalid_request");
    }
    // Without a length, and without an end.
    for path in ["/mcp", "/api/v1/tools/echo"] {
        let read = Arc::new(AtomicUsize::new(0));
        let mut endless = request(Method::POST, path, &token);
        set(&mut endless, "content-type", "application/json");
        *endless.body_mut() = Body::from_stream(Endless(Arc::clone(&read)));
        server
            .send(endless)
            .await
            .expect_error(413, "invalid_request");
        assert_eq!(read.load(Ordering::SeqCst), limit + CHUNK);
        // A length over the limit is believed at once.
        let read = Arc::new(AtomicUsize::new(0));
        let mut announced = request(Method::POST, path, &token);
        set(&mut announced, "content-type", "application/json");
        set(&mut announced, "content-length", "99999999999999999999");
        *announced.body_mut() = Body::from_stream(Endless(Arc::clone(&read)));
        let answer = server.send(announced).await;
        assert_eq!(answer.status, 413);
        assert!(read.load(Ordering::SeqCst) <= limit + CHUNK);
    }
}

#[tokio::test]
async fn the_limit_is_one_mebibyte_where_nobody_configured_another() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    for path in ["/mcp", "/api/v1/tools/echo"] {
        let mut asked = request(Method::POST, path, &token);
        set(&mut asked, "content-type", "application/json");
        *asked.body_mut() = Body::from(vec![b' '; (1 << 20) + 1]);
        server
            .send(asked)
            .await
            .expect_error(413, "invalid_request");
    }
}

#[tokio::test]
async fn a_body_that_is_not_plain_json_is_415() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    for path in ["/mcp", "/api/v1/tools/note_add"] {
        for (name, value) in [
            ("content-encoding", "gzip"),
            ("content-encoding", "br"),
            ("content-encoding", "identity, gzip"),
            ("content-type", "text/plain"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-type", "application/jsonp"),
            (
                "content-type",
                "multipart/form-data; boundary=application/json",
            ),
            ("content-type", ""),
        ] {
            let mut asked = request(Method::POST, path, &token);
            set(&mut asked, "content-type", "application/json");
            set(&mut asked, name, value);
            *asked.body_mut() = Body::from(r#"{"text":"a"}"#);
            let answer = server.send(asked).await;
            answer.expect_error(415, "invalid_request");
        }
        let mut asked = request(Method::POST, path, &token);
        *asked.body_mut() = Body::from(r#"{"text":"a"}"#);
        assert_eq!(server.send(asked).await.status, 415);
    }
    assert_eq!(server.count_notes(&token).await, 0);
    let mut asked = modern(&token, "tools/list", json!({}));
    set(
        &mut asked,
        "content-type",
        "Application/JSON; charset=utf-8",
    );
    assert_eq!(server.send(asked).await.status, 200);
}

#[tokio::test]
async fn a_bomb_of_nesting_members_or_digits_is_refused() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let call = |arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{arguments}}}}}"#
        )
    };
    let members: Vec<String> = (0..100_000)
        .map(|number| format!("\"{number}\":0"))
        .collect();
    for bomb in [
        "[".repeat(100_000),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        "{\"a\":".repeat(100_000),
        call(&format!("{}0{}", "[".repeat(70), "]".repeat(70))),
        call("{\"message\":1e999999}"),
        call(&format!("{{\"message\":{}}}", "9".repeat(100_000))),
        call(&format!("{{{}}}", members.join(","))),
    ] {
        let answer = server.send(post(&token, &bomb)).await;
        assert_eq!(rpc_error(&answer), (400, -32700));
    }
    let long = server
        .call(&token, "echo", json!({ "message": "x".repeat(1_000_000) }))
        .await;
    assert_eq!(long.message()["result"]["isError"], true);
    assert_eq!(server.echo(&token).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_refused_and_the_log_stays_readable() {
    let log = CapturedLog::begin();
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let echo = |message: &[u8]| {
        [
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":""#,
            message,
            br#""}}}"#,
        ]
        .concat()
    };
    let utf_16: Vec<u8> = "{\"jsonrpc\":\"2.0\"}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for body in [
        echo(&[0xff, 0xfe]),
        echo(&[0xc0, 0xaf]),
        echo(&[0xed, 0xa0, 0x80]),
        echo(br"\ud800"),
        echo(br"\udc00\ud800"),
        echo(&[0]),
        [&[0xef, 0xbb, 0xbf][..], &echo(b"hi")].concat(),
        utf_16,
    ] {
        let mut asked = post(&token, "");
        *asked.body_mut() = Body::from(body);
        assert_eq!(rpc_error(&server.send(asked).await), (400, -32700));
    }
    // An escaped NUL and a line break are characters like others, also in the log.
    let answer = server
        .call(&token, "echo", json!({ "message": "a\0\r\nb" }))
        .await;
    assert_eq!(
        answer.message()["result"]["structuredContent"]["echo"],
        "a\0\r\nb"
    );
    let mut forged = modern(&token, "tools/list", json!({}));
    *forged.uri_mut() = "/nowhere/%0a%7b%22level%22".parse().unwrap();
    assert_eq!(server.send(forged).await.status, 404);
    assert!(log.text().contains("portcullis::access"));
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

const CHUNK: usize = 1024;

/// A body without end that counts what was taken of it.
struct Endless(Arc<AtomicUsize>);

impl futures_core::Stream for Endless {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.fetch_add(CHUNK, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Bytes::from_static(&[b' '; CHUNK]))))
    }
}
