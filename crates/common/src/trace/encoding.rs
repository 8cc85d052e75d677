//! Spans as OTLP writes them: the JSON form of the protocol, in which ids are hexadecimal and
//! numbers of 64 bits are texts.

use serde_json::{Value, json};

use super::TraceContext;
use super::span::{Attribute, Span, SpanKind};

/// The body of a request to `/v1/traces`: these spans of this service.
pub(super) fn request<'a>(service: &str, spans: impl Iterator<Item = &'a Span>) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let resource = [
        ("service.name", text(service)),
        ("service.version", text(version)),
    ];
    let spans: Vec<Value> = spans.map(span).collect();
    let body = json!({
        "resourceSpans": [{
            "resource": { "attributes": members(resource) },
            "scopeSpans": [{
                "scope": { "name": "portcullis", "version": version },
                "spans": spans,
            }],
        }],
    });
    body.to_string().into_bytes()
}

/// How many of the spans a collector did not take though it took the request.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return 0;
    };
    match answer.pointer("/partialSuccess/rejectedSpans") {
        Some(Value::String(number)) => number.parse().unwrap_or(0),
        Some(number) => number.as_u64().unwrap_or(0),
        None => 0,
    }
}

fn span(span: &Span) -> Value {
    let attributes = span.attributes.iter().cloned();
    let mut value = json!({
        "traceId": span.context.trace_id(),
        "spanId": span.context.span_id(),
        "name": span.name,
        "kind": match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
        },
        "startTimeUnixNano": span.began.to_string(),
        "endTimeUnixNano": span.ended.to_string(),
        "attributes": members(attributes),
        "links": span.link.map(link).into_iter().collect::<Vec<_>>(),
        "status": match span.has_failed {
            true => json!({ "code": 2 }),
            false => json!({}),
        },
    });
    if let (Some(parent), Some(members)) = (span.parent, value.as_object_mut()) {
        members.insert("parentSpanId".to_owned(), parent.span_id().into());
    }
    value
}

fn link(to: TraceContext) -> Value {
    json!({ "traceId": to.trace_id(), "spanId": to.span_id() })
}

fn members(attributes: impl IntoIterator<Item = (&'static str, Attribute)>) -> Vec<Value> {
    let member = |(key, value)| {
        let value = match value {
            Attribute::Text(text) => json!({ "stringValue": text }),
            Attribute::Number(number) => json!({ "intValue": number.to_string() }),
        };
        json!({ "key": key, "value": value })
    };
    attributes.into_iter().map(member).collect()
}

fn text(value: &str) -> Attribute {
    Attribute::Text(value.to_owned().into())
}
