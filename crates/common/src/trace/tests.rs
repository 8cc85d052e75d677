use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver};

use super::span::{Shared, Span};
use super::*;
use crate::clock::SystemClock;
use crate::entropy::SystemEntropy;
use crate::metrics::{Exposition, SharedMetrics};

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn tracer(ratio: f64, room: usize) -> (Tracer, Receiver<Span>, SharedMetrics) {
    let (queue, spans) = mpsc::channel(room);
    let metrics = SharedMetrics::default();
    let tracer = Tracer::new(Shared {
        queue,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        metrics: Arc::clone(&metrics),
        ratio,
    });
    (tracer, spans, metrics)
}

fn end(span: OpenSpan) {
    let status = ("http.response.status_code", Attribute::Number(200));
    span.end("GET /jwks".to_owned(), vec![status], false);
}

#[test]
fn who_began_a_trace_decides_about_it_and_the_ratio_about_the_others() {
    let (tracer, mut spans, _) = tracer(0.0, 8);
    for (parent, is_sent) in [
        (None, false),
        (Some(UNSAMPLED), false),
        (Some(SAMPLED), true),
    ] {
        let parent = parent.and_then(TraceContext::parse);
        let span = tracer.begin(SpanKind::Server, parent).unwrap();
        if let Some(parent) = parent {
            assert!(span.context().is_same_trace(parent));
            assert_ne!(span.context().span_id(), parent.span_id());
        }
        end(span);
        assert_eq!(spans.try_recv().is_ok(), is_sent, "{parent:?}");
    }
}

#[test]
fn about_a_tenth_of_the_traces_is_sent_at_a_tenth_and_all_at_one() {
    for (ratio, least, most) in [(1.0, 2000, 2000), (0.1, 100, 300)] {
        let (tracer, mut spans, _) = tracer(ratio, 2000);
        for _ in 0..2000 {
            end(tracer.begin(SpanKind::Server, None).unwrap());
        }
        let mut sent = 0;
        while spans.try_recv().is_ok() {
            sent += 1;
        }
        assert!((least..=most).contains(&sent), "{ratio}: {sent}");
    }
}

#[test]
fn where_nothing_is_collected_nothing_begins_and_a_full_queue_drops_and_counts() {
    assert!(Tracer::default().begin(SpanKind::Server, None).is_none());
    let (tracer, _spans, metrics) = tracer(1.0, 2);
    for _ in 0..5 {
        end(tracer.begin(SpanKind::Server, None).unwrap());
    }
    let text = metrics.encode(Exposition::Text);
    let line = "portcullis_trace_spans_total{outcome=\"dropped\"} 3";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_span_is_written_as_the_protocol_writes_it_in_json() {
    let (tracer, mut spans, _) = tracer(1.0, 2);
    let parent = TraceContext::parse(SAMPLED);
    let link = TraceContext::parse(UNSAMPLED);
    let span = tracer.begin(SpanKind::Internal, parent).unwrap();
    end(span.linked_to(link));
    let span = spans.try_recv().unwrap();
    let body = encoding::request("portcullis", [&span].into_iter());
    let body: Value = serde_json::from_slice(&body).unwrap();
    let resource = body
        .pointer("/resourceSpans/0/resource/attributes/0")
        .unwrap();
    let name = json!({ "key": "service.name", "value": { "stringValue": "portcullis" } });
    assert_eq!(*resource, name);
    let written = body
        .pointer("/resourceSpans/0/scopeSpans/0/spans/0")
        .unwrap();
    let text = |name: &str| written[name].as_str().unwrap();
    assert_eq!(text("traceId"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(text("parentSpanId"), "00f067aa0ba902b7");
    assert_eq!(text("spanId").len(), 16);
    assert_eq!(written["kind"], 1);
    assert!(text("startTimeUnixNano").parse::<u64>().unwrap() > 1_700_000_000_000_000_000);
    assert_eq!(written["links"][0]["spanId"], "00f067aa0ba902b7");
    let status = json!({ "key": "http.response.status_code", "value": { "intValue": "200" } });
    assert_eq!(written["attributes"][0], status);
}

#[test]
fn a_collector_may_say_that_it_took_only_some() {
    for (answer, rejected) in [
        ("", 0),
        ("{}", 0),
        (r#"{"partialSuccess":{"rejectedSpans":"3"}}"#, 3),
        (r#"{"partialSuccess":{"rejectedSpans":2}}"#, 2),
        (r#"{"partialSuccess":{"rejectedSpans":-2}}"#, 0),
    ] {
        assert_eq!(encoding::rejected(answer.as_bytes()), rejected, "{answer}");
    }
}
