//! What only a socket shows: slow peers, heads too large, other protocols.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_testkit::resource::ProtectedServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Long past every limit that these tests set.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that gives a head and a body one second each, and a good token.
async fn impatient() -> (SocketAddr, String) {
    let server = ProtectedServer::start_with(|config| {
        config.server.header_timeout = Duration::from_secs(1);
        config.server.body_timeout = Duration::from_secs(1);
    })
    .await;
    let token = server.token().sign();
    (server.listen(), token)
}

/// Sends some bytes and reads until the server closes the connection.
async fn until_closed(address: SocketAddr, sent: &str) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    until_closed_on(stream, sent).await
}

async fn until_closed_on(mut stream: TcpStream, sent: &str) -> String {
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end like another.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap_or_else(|_| panic!("the connection was left open after {sent:?}"));
    String::from_utf8_lossy(&answer).into_owned()
}

fn call(token: &str, length: usize, rest: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: mcp.test\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n\
         Content-Length: {length}\r\n{rest}"
    )
}

fn list() -> &'static str {
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#
}

#[tokio::test]
async fn slow_heads_and_slow_bodies_are_closed_in_time_while_others_are_served() {
    let (address, token) = impatient().await;
    let slow = [
        String::new(),
        "POST /mcp HT".to_owned(),
        "POST /mcp HTTP/1.1\r\nHost: mcp.test\r\nX-A: ".to_owned(),
        call(&token, 1000, "\r\n{\"jsonrpc\":"),
        call(&token, 1000, "\r\n"),
    ];
    let mut peers = JoinSet::new();
    for number in 0..500 {
        let sent = slow[number % slow.len()].clone();
        // One after the other: the queue of the listener is shorter than all of them.
        let stream = TcpStream::connect(address).await.unwrap();
        peers.spawn(async move { until_closed_on(stream, &sent).await });
    }
    let good = call(
        &token,
        list().len(),
        &format!("Connection: close\r\n\r\n{}", list()),
    );
    for _ in 0..20 {
        let answer = until_closed(address, &good).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    for answer in peers.join_all().await {
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_more_is_closed() {
    let (address, token) = impatient().await;
    let good = call(&token, list().len(), &format!("\r\n{}", list()));
    let answer = until_closed(address, &good).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_head_too_large_is_431_and_another_protocol_is_not_spoken() {
    let (address, _) = impatient().await;
    let large = call(&"x".repeat(300 * 1024), 0, "\r\n");
    let answer = until_closed(address, &large).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // HTTP/2 with prior knowledge: this listener speaks HTTP/1.1 and nothing else.
    let answer = until_closed(address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    let answer = until_closed(address, "\u{16}\u{3}\u{1}\0\u{5}hello").await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
}

#[tokio::test]
async fn two_lengths_or_a_length_beside_chunks_are_refused() {
    let (address, token) = impatient().await;
    for smuggled in [
        format!("Content-Length: 5\r\nConnection: close\r\n\r\n{}", list()),
        format!(
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}",
            list()
        ),
        format!(
            "Transfer-Encoding: xchunked\r\nConnection: close\r\n\r\n{}",
            list()
        ),
        format!("X-A: b\r\n c\r\nConnection: close\r\n\r\n{}", list()),
    ] {
        let answer = until_closed(address, &call(&token, list().len(), &smuggled)).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{smuggled}: {answer}");
        assert!(!answer.contains("echo"), "{answer}");
    }
}

#[tokio::test]
async fn an_absolute_target_must_name_the_same_host() {
    let (address, _) = impatient().await;
    let get = |target: &str, hosts: &str| {
        format!("POST {target} HTTP/1.1\r\n{hosts}Content-Length: 0\r\nConnection: close\r\n\r\n")
    };
    for (target, hosts, status) in [
        ("http://mcp.test/mcp", "Host: mcp.test\r\n", 401),
        ("http://evil.test/mcp", "Host: mcp.test\r\n", 400),
        ("http://evil.test/mcp", "Host: evil.test\r\n", 421),
        ("/mcp", "Host: mcp.test\r\nHost: mcp.test\r\n", 400),
        ("/mcp", "Host:\r\n", 400),
        ("/mcp", "", 400),
    ] {
        let answer = until_closed(address, &get(target, hosts)).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{target} {hosts}: {answer}");
    }
}
