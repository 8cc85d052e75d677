//! The revisions before 2026-07-28: a handshake and a session.

use axum::body::Body;
use http::Request;
use portcullis_resource::mcp::McpOptions;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, Reply, person, post};

fn message(session: Option<&str>, body: &Value) -> Request<Body> {
    message_of("ann", session, body)
}

fn message_of(subject: &str, session: Option<&str>, body: &Value) -> Request<Body> {
    let mut request = post("/mcp").header("mcp-protocol-version", "2025-11-25");
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    request
        .extension(person(subject))
        .body(Body::from(body.to_string()))
        .unwrap()
}

async fn initialize(bench: &Bench) -> (String, Reply) {
    initialize_as(bench, "ann").await
}

async fn initialize_as(bench: &Bench, subject: &str) -> (String, Reply) {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }});
    let reply = bench.send(message_of(subject, None, &body)).await;
    let session = reply.header("mcp-session-id").to_owned();
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let accepted = bench.send(message(Some(&session), &initialized)).await;
    assert_eq!(accepted.status, 202);
    (session, reply)
}

fn echo() -> Value {
    json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"message": "hi"}}})
}

#[tokio::test]
async fn a_handshake_opens_a_session_in_which_tools_are_called() {
    let bench = Bench::new();
    let (session, hello) = initialize(&bench).await;
    let result = hello.json()["result"].clone();
    assert_eq!(result["protocolVersion"], "2025-11-25");
    assert_eq!(result["serverInfo"]["name"], "portcullis");
    let reply = bench.send(message(Some(&session), &echo())).await;
    let result = reply.json()["result"].clone();
    assert_eq!(result["structuredContent"]["echo"], "hi");
    assert_eq!(result.get("resultType"), None);
}

#[tokio::test]
async fn initialize_with_the_new_revision_is_answered_with_the_newest_that_has_a_handshake() {
    let bench = Bench::new();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2026-07-28",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }});
    let request = post("/mcp")
        .extension(person("ann"))
        .body(Body::from(body.to_string()));
    let reply = bench.send(request.unwrap()).await;
    assert_eq!(reply.json()["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn a_missing_session_is_400_and_an_unknown_one_404() {
    let bench = Bench::new();
    assert_eq!(bench.send(message(None, &echo())).await.status, 400);
    assert_eq!(
        bench.send(message(Some("unknown"), &echo())).await.status,
        404
    );
}

#[tokio::test]
async fn a_deleted_session_is_gone() {
    let bench = Bench::new();
    let (session, _) = initialize(&bench).await;
    let request = Request::delete("/mcp")
        .header("host", "localhost")
        .header("mcp-session-id", &session)
        .extension(person("ann"))
        .body(Body::empty());
    assert!(bench.send(request.unwrap()).await.status.is_success());
    assert_eq!(
        bench.send(message(Some(&session), &echo())).await.status,
        404
    );
}

#[tokio::test]
async fn when_there_are_too_many_sessions_the_oldest_makes_room() {
    let mut options = McpOptions::default();
    options.sessions.all = 2;
    let bench = Bench::with(&options);
    let (first, _) = initialize(&bench).await;
    let (second, _) = initialize(&bench).await;
    let (third, _) = initialize(&bench).await;
    tokio::task::yield_now().await;
    assert_eq!(bench.send(message(Some(&first), &echo())).await.status, 404);
    for session in [second, third] {
        assert_eq!(
            bench.send(message(Some(&session), &echo())).await.status,
            200
        );
    }
}

#[tokio::test]
async fn a_caller_with_too_many_sessions_makes_room_of_its_own() {
    let mut options = McpOptions::default();
    options.sessions.per_caller = 2;
    let bench = Bench::with(&options);
    let (of_ann, _) = initialize(&bench).await;
    let mut of_bob = Vec::new();
    for _ in 0..3 {
        of_bob.push(initialize_as(&bench, "bob").await.0);
    }
    tokio::task::yield_now().await;
    let mut statuses = Vec::new();
    for session in of_bob.iter().chain([&of_ann]) {
        let reply = bench.send(message(Some(session), &echo())).await;
        statuses.push(reply.status.as_u16());
    }
    assert_eq!(statuses, [404, 200, 200, 200]);
}

#[tokio::test]
async fn a_broken_argument_is_a_result_that_names_the_field_here_too() {
    let bench = Bench::new();
    let (session, _) = initialize(&bench).await;
    let mut call = echo();
    call["params"]["arguments"] = json!({"message": 1});
    let result = bench.send(message(Some(&session), &call)).await.json()["result"].clone();
    assert_eq!(result["isError"], true);
    assert!(
        result["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("message")
    );
}

#[tokio::test]
async fn a_stop_ends_open_streams_and_sessions() {
    let shutdown = CancellationToken::new();
    let bench = Bench::with(&McpOptions {
        shutdown: shutdown.clone(),
        ..McpOptions::default()
    });
    let (session, _) = initialize(&bench).await;
    let request = Request::get("/mcp")
        .header("host", "localhost")
        .header("accept", "text/event-stream")
        .header("mcp-session-id", &session)
        .extension(person("ann"))
        .body(Body::empty());
    let stop = async {
        tokio::task::yield_now().await;
        shutdown.cancel();
    };
    let (stream, ()) = tokio::join!(bench.send(request.unwrap()), stop);
    assert_eq!(stream.header("content-type"), "text/event-stream");
}
