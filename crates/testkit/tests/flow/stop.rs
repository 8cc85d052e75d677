//! The stop: what is under way finishes, nothing new begins.

use rmcp::service::ClientLifecycleMode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clients::connect;
use crate::product::{Place, echo_body};

#[tokio::test]
async fn a_request_under_way_finishes_and_nothing_new_is_accepted() {
    let place = Place::new();
    let product = place.start().await;
    let token = product.token("mcp:read").await;
    let (host, body) = (product.address, echo_body());
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body, so the request is under way.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");

    product.ask_to_stop();
    while TcpStream::connect(host).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\"echo\":\"hi\""), "{answer}");
    product.stop().await;
}

#[tokio::test]
async fn open_event_streams_do_not_hold_the_stop_up() {
    let place = Place::new();
    let product = place.start().await;
    let grace = product.config.server.shutdown_grace;
    let token = product.token("mcp:read").await;
    // A client of the older revision keeps a stream open for what the server may have to say.
    let client = connect(&product, &token, ClientLifecycleMode::Initialize).await;
    let stopped = tokio::time::timeout(grace / 2, product.stop()).await;
    assert!(stopped.is_ok(), "the stop waited for the stream");
    drop(client);
}
