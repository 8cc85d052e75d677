//! Spans in a collector: a real one that takes OTLP/HTTP, reads it and remembers it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::{HeaderMap, Request, StatusCode};
use portcullis_testkit::clock::within;
use portcullis_testkit::logs::CapturedLog;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::product::{AGENT, Place, Product, echo_body};

const LIMIT: Duration = Duration::from_secs(30);
const OURS: &str = "00-11112222333344445555666677778888-aaaabbbbccccdddd-01";
const THEIRS: &str = "00-99992222333344445555666677778888-eeeebbbbccccdddd-01";
/// The value of the header that the collector demands.
const KEY: &str = "cAnArY-of-the-collector";

/// What a collector was sent.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Value>>>,
    bodies: Arc<Mutex<String>>,
    /// Answers of the next requests; afterwards all is taken.
    refusals: Arc<Mutex<Vec<StatusCode>>>,
    count: watch::Sender<usize>,
}

impl Collector {
    /// Takes spans on this listener.
    fn listen(&self, listener: TcpListener) {
        let router = Router::new()
            .route(
                "/v1/traces",
                post(async |State(collector): State<Self>, headers, body| {
                    collector.take(&headers, &body)
                }),
            )
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    fn take(&self, headers: &HeaderMap, body: &Bytes) -> Response {
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["x-key"], KEY);
        if let Some(refusal) = self.refusals.lock().unwrap().pop() {
            return (refusal, [("retry-after", "1")]).into_response();
        }
        let text = String::from_utf8(body.to_vec()).unwrap();
        let request: Value = serde_json::from_str(&text).unwrap();
        self.bodies.lock().unwrap().push_str(&text);
        let scope = &request["resourceSpans"][0]["scopeSpans"][0];
        let spans = scope["spans"].as_array().unwrap().clone();
        let total = {
            let mut all = self.spans.lock().unwrap();
            all.extend(spans);
            all.len()
        };
        self.count.send_replace(total);
        axum::Json(json!({ "partialSuccess": {} })).into_response()
    }

    /// Waits until there are this many calls of `echo`; what was before them is there too.
    async fn spans(&self, calls: usize) -> Vec<Value> {
        let mut count = self.count.subscribe();
        let has_all = |_: &usize| {
            let spans = self.spans.lock().unwrap();
            named(&spans, "tools/call echo").len() >= calls
        };
        within(LIMIT, count.wait_for(has_all)).await.unwrap();
        self.spans.lock().unwrap().clone()
    }
}

async fn loopback() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn tracing_to(url: &str) -> Place {
    let otlp = format!("[otlp]\nendpoint = \"{url}\"\nheaders = \"X-Key={KEY}\"\n");
    Place::new().with(&otlp)
}

fn named<'a>(spans: &'a [Value], name: &str) -> Vec<&'a Value> {
    spans.iter().filter(|span| span["name"] == name).collect()
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|one| one["key"] == key).unwrap();
    &found["value"]
}

/// Calls `echo`, with contexts in the header and in the message.
async fn call(product: &Product, token: &str, in_header: Option<&str>, in_message: Option<&str>) {
    let mut message: Value = serde_json::from_str(&echo_body()).unwrap();
    if let Some(context) = in_message {
        message["params"]["_meta"]["traceparent"] = context.into();
    }
    let mut request = Request::post(product.mcp())
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "echo");
    if let Some(context) = in_header {
        request = request.header("traceparent", context);
    }
    let request = request.body(message.to_string().into_bytes()).unwrap();
    assert_eq!(product.send(request).await.status(), 200);
}

#[tokio::test]
async fn requests_and_tool_calls_are_spans_of_the_traces_that_their_callers_name() {
    let (listener, url) = loopback().await;
    let collector = Collector::default();
    collector.listen(listener);
    let log = CapturedLog::begin();
    let product = tracing_to(&url).start().await;
    let token = product.token("mcp:read").await;
    call(&product, &token, Some(OURS), None).await;
    call(&product, &token, Some(OURS), Some(THEIRS)).await;
    call(&product, &token, Some("not-a-context"), Some("00-none")).await;
    // The stop brings what has not been sent yet.
    product.stop().await;

    let spans = collector.spans(3).await;
    let tokens = named(&spans, "POST /token");
    assert_eq!(tokens.len(), 1, "{spans:?}");
    assert_eq!(tokens[0]["parentSpanId"], Value::Null);
    assert_eq!(attribute(tokens[0], "http.route")["stringValue"], "/token");
    let status = attribute(tokens[0], "http.response.status_code");
    assert_eq!(status["intValue"], "200");

    let (requests, tools) = (named(&spans, "POST /mcp"), named(&spans, "tools/call echo"));
    assert_eq!((requests.len(), tools.len()), (3, 3), "{spans:?}");
    for request in &requests[..2] {
        assert_eq!(request["traceId"], OURS[3..35]);
        assert_eq!(request["parentSpanId"], OURS[36..52]);
    }
    assert_eq!(tools[0]["traceId"], OURS[3..35]);
    assert_eq!(tools[0]["parentSpanId"], requests[0]["spanId"]);
    assert_eq!(tools[0]["links"], json!([]));
    assert_eq!(tools[1]["traceId"], THEIRS[3..35], "the message is nearer");
    assert_eq!(tools[1]["parentSpanId"], THEIRS[36..52]);
    assert_eq!(tools[1]["links"][0]["spanId"], requests[1]["spanId"]);
    assert_eq!(requests[2]["parentSpanId"], Value::Null);
    assert_eq!(tools[2]["parentSpanId"], requests[2]["spanId"]);

    let log = log.text();
    let both = log.lines().filter(|line| line.contains(&THEIRS[3..35]));
    assert!(both.clone().count() > 0, "{log}");
    assert!(
        both.clone().all(|line| line.contains(&OURS[3..35])),
        "{log}"
    );
    let sent = collector.bodies.lock().unwrap().clone();
    for (text, what) in [(&log, "log"), (&sent, "spans")] {
        for secret in [AGENT.1, KEY, token.as_str()] {
            assert!(!text.contains(secret), "{secret} in the {what}");
        }
    }
}

#[tokio::test]
async fn a_collector_that_is_away_is_one_line_in_the_log_and_gets_the_spans_when_it_is_back() {
    let (listener, url) = loopback().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let log = CapturedLog::begin();
    let away = || log.text().matches("does not take spans").count();
    let product = tracing_to(&url).start().await;
    let token = product.token("mcp:read").await;
    let noticed = async {
        while away() == 0 {
            tokio::task::yield_now().await;
        }
    };
    within(LIMIT, noticed).await;
    call(&product, &token, None, None).await;

    let collector = Collector::default();
    let overloaded = StatusCode::SERVICE_UNAVAILABLE;
    collector.refusals.lock().unwrap().push(overloaded);
    collector.listen(TcpListener::bind(address).await.unwrap());
    let spans = collector.spans(1).await;
    assert_eq!(named(&spans, "POST /token").len(), 1, "{spans:?}");
    assert_eq!(named(&spans, "tools/call echo").len(), 1, "{spans:?}");
    assert_eq!(away(), 1, "{}", log.text());
    assert!(log.text().contains("takes spans again"), "{}", log.text());
    product.stop().await;
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_neither_requests_nor_the_stop() {
    // It accepts connections, because the system does, and says nothing.
    let (_silent, url) = loopback().await;
    let product = tracing_to(&url).start().await;
    let token = product.token("mcp:read").await;
    for _ in 0..20 {
        call(&product, &token, None, None).await;
    }
    within(Duration::from_secs(20), product.stop()).await;
}
