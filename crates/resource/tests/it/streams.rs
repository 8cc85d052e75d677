//! Streams that stay open end with the token they were opened with.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use portcullis_common::clock::Clock as _;
use portcullis_testkit::resource::{ProtectedServer, legacy, modern, request, set};
use serde_json::json;
use tokio::time::Instant;
use tower::{Layer as _, ServiceExt as _, service_fn};

/// A body that says nothing and does not end.
struct Endless;

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// A token with two seconds to live.
fn short_token(server: &ProtectedServer) -> String {
    let end = server.clock.now().plus(Duration::from_secs(2));
    server.token().claim("exp", end.seconds()).sign()
}

/// How long the answer of somebody else's server lasts behind the guard.
async fn lasts(server: &ProtectedServer, request: Request<Body>) -> Option<u64> {
    let theirs =
        service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::new(Endless))));
    let guarded = server.state().guard().mcp_layer().layer(theirs);
    let began = Instant::now();
    let answer = guarded.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let ended = tokio::time::timeout(Duration::from_hours(1), answer.into_body().collect()).await;
    ended.is_ok().then(|| began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_session_ends_with_its_token_and_the_session_goes_on() {
    // The transport wakes up every millisecond while time is paused, so seconds are few here.
    let leeway = Duration::from_secs(1);
    let server = ProtectedServer::start_with(|config| config.resource.leeway = leeway).await;
    let session = server.open_session(&server.token().sign()).await;
    let mut listening = request(Method::GET, "/mcp", &short_token(&server));
    set(&mut listening, "accept", "text/event-stream");
    set(&mut listening, "mcp-session-id", &session);
    let began = Instant::now();
    let answer = server.send(listening).await;
    assert_eq!(answer.status, 200);
    // The leeway holds for streams as for calls.
    assert_eq!(began.elapsed().as_secs(), 3);
    let echo = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"message": "hi"}}});
    let fresh = server.token().claim("jti", "fresh").sign();
    let answer = server.send(legacy(&fresh, Some(&session), &echo)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_with_its_token_and_a_call_under_way_does_not() {
    let server = ProtectedServer::start().await;
    let token = short_token(&server);
    let listening = modern(&token, "subscriptions/listen", json!({}));
    assert_eq!(lasts(&server, listening).await, Some(32));
    let call = json!({"name": "echo", "arguments": {}});
    let calling = modern(&token, "tools/call", call);
    assert_eq!(lasts(&server, calling).await, None);
}
