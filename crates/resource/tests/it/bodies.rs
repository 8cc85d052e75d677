//! One JSON-RPC message per POST, bounded and read once (MCP, streamable HTTP).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::Method;
use portcullis_testkit::logs::CapturedLog;
use portcullis_testkit::resource::{ProtectedServer, modern, post, request, set};
use serde_json::{Value, json};

use crate::verdict::rpc_error;

fn add_note() -> Value {
    json!({ "name": "note_add", "arguments": { "text": "a mark" } })
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
