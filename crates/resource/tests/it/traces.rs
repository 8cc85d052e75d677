//! The trace of a call, as tools and other guarded services get it.

use axum::body::Body;
use axum::routing::post;
use axum::{Extension, Router};
use http_body_util::BodyExt as _;
use portcullis_common::trace::TraceContext;
use portcullis_resource::guard::Caller;
use portcullis_testkit::resource::{ProtectedServer, modern};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const IN_HEADER: &str = "00-11112222333344445555666677778888-aaaabbbbccccdddd-01";
const IN_MESSAGE: &str = "00-99992222333344445555666677778888-eeeebbbbccccdddd-00";

/// What a service behind the guard learns, where header and message name these.
async fn learned(in_header: Option<&str>, in_message: Value) -> Value {
    let server = ProtectedServer::start().await;
    let answer = async |Extension(caller): Extension<Caller>| {
        let text = |context: Option<TraceContext>| context.map(|context| context.to_string());
        json!([text(caller.trace), text(caller.request_trace)]).to_string()
    };
    let service = Router::new()
        .route("/mcp", post(answer))
        .layer(server.state().guard().mcp_layer());
    let params = json!({ "name": "echo", "arguments": { "message": "hi" } });
    let request = modern(&server.token().sign(), "tools/call", params);
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut message: Value = serde_json::from_slice(&body).unwrap();
    message["params"]["_meta"]["traceparent"] = in_message;
    if let Some(context) = in_header.and_then(TraceContext::parse) {
        head.extensions.insert(context);
    }
    head.headers.remove("content-length");
    let request = http::Request::from_parts(head, Body::from(message.to_string()));
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn a_tool_learns_the_trace_of_the_message_and_else_that_of_the_request() {
    for (in_header, in_message, expected) in [
        (None, Value::Null, json!([null, null])),
        (Some(IN_HEADER), Value::Null, json!([IN_HEADER, null])),
        (None, json!(IN_MESSAGE), json!([IN_MESSAGE, null])),
        (
            Some(IN_HEADER),
            json!(IN_MESSAGE),
            json!([IN_MESSAGE, IN_HEADER]),
        ),
    ] {
        let found = learned(in_header, in_message.clone()).await;
        assert_eq!(found, expected, "{in_header:?} {in_message}");
    }
}

#[tokio::test]
async fn a_trace_in_the_message_that_is_none_is_as_if_it_were_not_there() {
    for wrong in [json!(7), json!(""), json!([IN_MESSAGE]), json!("00-x")] {
        let found = learned(Some(IN_HEADER), wrong.clone()).await;
        assert_eq!(found, json!([IN_HEADER, null]), "{wrong}");
    }
}
