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

#[tokio::test]
async fn an_idle_connection_of_a_proxy_gets_one_more_answer_which_says_that_it_is_the_last() {
    let place = Place::new().behind_a_proxy();
    let product = place.start().await;
    let host = product.address;
    while product.get("/readyz").await["status"] != "ready" {}
    let mut kept = TcpStream::connect(host).await.unwrap();
    let asks = format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\n\r\n");
    kept.write_all(asks.as_bytes()).await.unwrap();
    let mut first = vec![0; 15];
    kept.read_exact(&mut first).await.unwrap();
    assert_eq!(first, b"HTTP/1.1 200 OK");

    product.ask_to_stop();
    while TcpStream::connect(host).await.is_ok() {
        tokio::task::yield_now().await;
    }
    kept.write_all(asks.as_bytes()).await.unwrap();
    let mut rest = String::new();
    kept.read_to_string(&mut rest).await.unwrap();
    let (_, last) = rest.split_once("HTTP/1.1 ").unwrap();
    assert!(last.starts_with("503 "), "{last}");
    assert!(last.contains("connection: close\r\n"), "{last}");
    product.stop().await;
}

#[tokio::test]
async fn a_connection_in_the_queue_of_the_listener_is_answered_after_the_stop() {
    let place = Place::new().behind_a_proxy();
    let product = place.start().await;
    let host = product.address;
    // Nothing of the server runs between these two lines: the tests of this kind have one thread.
    product.ask_to_stop();
    let mut queued = std::net::TcpStream::connect(host).unwrap();
    let asks = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n");
    std::io::Write::write_all(&mut queued, asks.as_bytes()).unwrap();
    queued.set_nonblocking(true).unwrap();
    let mut queued = TcpStream::from_std(queued).unwrap();
    let mut answer = String::new();
    queued.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    product.stop().await;
}
