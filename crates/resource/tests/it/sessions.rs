//! Sessions of revision 2025-11-25 belong to the subject and client that opened them.

use http::Method;
use portcullis_testkit::answer::Answer;
use portcullis_testkit::issuer::TestIssuer;
use portcullis_testkit::resource::{
    ISSUER, ProtectedServer, initialize, legacy, modern, request, set,
};
use serde_json::{Value, json};

fn echo() -> Value {
    json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"message": "hi"}}})
}

/// Calls a tool in a session.
async fn call_in(server: &ProtectedServer, token: &str, session: &str) -> Answer {
    server.send(legacy(token, Some(session), &echo())).await
}

async fn delete(server: &ProtectedServer, token: &str, session: &str) -> Answer {
    let mut asked = request(Method::DELETE, "/mcp", token);
    set(&mut asked, "mcp-session-id", session);
    server.send(asked).await
}

/// Everything that must not tell a session of somebody else from none at all.
fn looks(answer: &Answer) -> (u16, String, Vec<String>) {
    let names = answer.headers.keys().map(ToString::to_string);
    (
        answer.status.as_u16(),
        answer.text().to_owned(),
        names.collect(),
    )
}

#[tokio::test]
async fn a_session_of_somebody_else_looks_exactly_like_none_and_goes_on() {
    let (first, second) = (TestIssuer::new(ISSUER), TestIssuer::new("https://two.test"));
    let issuers = vec![first, second.clone()];
    let server = ProtectedServer::start_among(issuers, |_| {}).await;
    let ann = server.token().sign();
    let session = server.open_session(&ann).await;
    let unknown = call_in(&server, &ann, "11111111-2222-3333-4444-555555555555").await;
    assert_eq!(unknown.status, 404);
    let others = [
        server.token().claim("sub", "bob"),
        server.token().claim("client_id", "other-client"),
        server.token().without("client_id"),
        server.token().of_client("ann"),
        server.token_of(&second),
    ];
    for other in others {
        let other = other.sign();
        let stolen = call_in(&server, &other, &session).await;
        assert_eq!(looks(&stolen), looks(&unknown));
        let ended = delete(&server, &other, &session).await;
        let not_there = delete(&server, &other, "11111111-2222-3333-4444-555555555555").await;
        assert_eq!(looks(&ended), looks(&not_there));
        assert_eq!(ended.status, 404);
    }
    assert_eq!(call_in(&server, &ann, &session).await.status, 200);
    let fresh = server.token().claim("jti", "another").sign();
    assert_eq!(call_in(&server, &fresh, &session).await.status, 200);
    assert_eq!(delete(&server, &ann, &session).await.status, 204);
    assert_eq!(call_in(&server, &ann, &session).await.status, 404);
}

#[tokio::test]
async fn a_session_id_without_a_token_opens_nothing() {
    let server = ProtectedServer::start().await;
    let session = server.open_session(&server.token().sign()).await;
    assert_eq!(call_in(&server, "", &session).await.status, 401);
    let ended = server.token().claim("exp", 1).sign();
    assert_eq!(call_in(&server, &ended, &session).await.status, 401);
}

#[tokio::test]
async fn neighbours_of_a_session_id_are_unknown() {
    let server = ProtectedServer::start().await;
    let ann = server.token().sign();
    let session = server.open_session(&ann).await;
    let twin = server.open_session(&ann).await;
    let shared = session
        .bytes()
        .zip(twin.bytes())
        .filter(|(a, b)| a == b)
        .count();
    assert!(shared < session.len() / 2, "{session} {twin}");
    for wrong in [
        session.to_uppercase(),
        format!("{session} "),
        format!("{session}0"),
        session[1..].to_owned(),
        "x".repeat(300),
    ] {
        if wrong.trim() != session {
            assert_eq!(call_in(&server, &ann, &wrong).await.status, 404, "{wrong}");
        }
    }
    let mut twice = legacy(&ann, Some(&session), &echo());
    let same = twice.headers()["mcp-session-id"].clone();
    twice.headers_mut().append("mcp-session-id", same);
    assert_eq!(server.send(twice).await.status, 404);
}

#[tokio::test]
async fn nobody_resumes_the_stream_of_somebody_else() {
    let server = ProtectedServer::start().await;
    let ann = server.token().sign();
    let session = server.open_session(&ann).await;
    let resume = |token: &str, version: &str| {
        let mut asked = request(Method::GET, "/mcp", token);
        set(&mut asked, "mcp-session-id", &session);
        set(&mut asked, "last-event-id", "0/0");
        set(&mut asked, "mcp-protocol-version", version);
        asked
    };
    let bob = server.token().claim("sub", "bob").sign();
    assert_eq!(server.send(resume(&bob, "2025-11-25")).await.status, 404);
    // The newer revision has no streams to resume: its GET is refused, whoever asks.
    assert_eq!(server.send(resume(&bob, "2026-07-28")).await.status, 405);
    assert_eq!(server.send(resume(&ann, "2026-07-28")).await.status, 405);
}

#[tokio::test]
async fn a_request_of_the_newer_revision_does_not_see_a_session() {
    let server = ProtectedServer::start().await;
    let session = server.open_session(&server.token().sign()).await;
    let bob = server.token().claim("sub", "bob").sign();
    let mut asked = modern(
        &bob,
        "tools/call",
        json!({"name": "echo", "arguments": {"message": "hi"}}),
    );
    set(&mut asked, "mcp-session-id", &session);
    set(&mut asked, "last-event-id", "0/0");
    let answer = server.send(asked).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("mcp-session-id"));
    assert!(!answer.text().contains("id: "));
}

#[tokio::test]
async fn one_caller_cannot_push_the_sessions_of_others_out() {
    let server = ProtectedServer::start().await;
    let ann = server.token().sign();
    let kept = server.open_session(&ann).await;
    let bob = server.token().claim("sub", "bob").sign();
    let mut own = Vec::new();
    for _ in 0..102 {
        let answer = server.send(legacy(&bob, None, &initialize())).await;
        own.push(answer.header("mcp-session-id").to_owned());
    }
    assert_eq!(call_in(&server, &ann, &kept).await.status, 200);
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let mut statuses = Vec::new();
    for session in &own {
        let answer = server.send(legacy(&bob, Some(session), &ready)).await;
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses[..2], [404, 404]);
    assert!(
        statuses[2..].iter().all(|status| *status == 202),
        "{statuses:?}"
    );
}
