//! What is counted, in the text format of OpenMetrics. The registry is handed in, not global.
//!
//! Every label has a bounded set of values: routes as they were declared, names of registered
//! tools, our own words for outcomes. Nothing that a stranger sends becomes a label.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The metrics as they are passed around.
pub type SharedMetrics = Arc<Metrics>;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The outcome of a token that passed every check.
pub const VALID: &str = "valid";

/// Upper bounds of the histograms, in seconds: from a call answered out of memory to a stuck one.
const BUCKETS: [f64; 12] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ToolLabels {
    tool: &'static str,
    outcome: &'static str,
}

type Timings = Family<EndpointLabels, Histogram, fn() -> Histogram>;

/// Every counter of the process.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Timings,
    token_validations: Family<OutcomeLabels, Counter>,
    /// The one of them that nearly every call counts.
    valid_tokens: Counter,
    refusals: Family<OutcomeLabels, Counter>,
    tool_calls: Family<ToolLabels, Counter>,
    redis_degraded: Gauge,
    audit_records: Family<OutcomeLabels, Counter>,
    audit_failures: Counter,
}

impl Metrics {
    /// All counters at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        let requests = Family::default();
        let durations = Timings::new_with_constructor(|| Histogram::new(BUCKETS));
        let token_validations = Family::<OutcomeLabels, Counter>::default();
        let valid_tokens = token_validations.get_or_create_owned(&OutcomeLabels { outcome: VALID });
        let refusals = Family::default();
        let tool_calls = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time from the request head to the answer head",
            durations.clone(),
        );
        registry.register(
            "token_validations",
            "Access tokens presented, by what was found",
            token_validations.clone(),
        );
        registry.register(
            "guard_refusals",
            "Calls that the guard refused",
            refusals.clone(),
        );
        registry.register(
            "tool_calls",
            "Calls of tools, by how they ended",
            tool_calls.clone(),
        );
        let redis_degraded = Gauge::default();
        registry.register(
            "redis_degraded",
            "1 while Redis is configured and away, else 0",
            redis_degraded.clone(),
        );
        let audit_records = Family::default();
        registry.register(
            "audit_records",
            "Records of the audit trail, by what became of them",
            audit_records.clone(),
        );
        let audit_failures = Counter::default();
        registry.register(
            "audit_write_failures",
            "Attempts to write the audit trail that failed",
            audit_failures.clone(),
        );
        Self {
            registry,
            requests,
            durations,
            token_validations,
            valid_tokens,
            refusals,
            tool_calls,
            redis_degraded,
            audit_records,
            audit_failures,
        }
    }

    /// Counts an answered request. `endpoint` is the route as it was declared.
    pub fn request(&self, endpoint: &str, method: &http::Method, status: u16, took: Duration) {
        let labels = RequestLabels {
            endpoint: endpoint.to_owned(),
            method: method_label(method),
            status,
        };
        self.requests.get_or_create(&labels).inc();
        let labels = EndpointLabels {
            endpoint: endpoint.to_owned(),
        };
        self.durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Counts a token that was presented.
    pub fn token_validation(&self, outcome: &'static str) {
        if outcome == VALID {
            self.valid_tokens.inc();
            return;
        }
        self.token_validations
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    /// Counts a call that the guard refused.
    pub fn refusal(&self, outcome: &'static str) {
        self.refusals
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    /// Counts a call of a registered tool.
    pub fn tool_call(&self, tool: &'static str, outcome: &'static str) {
        self.tool_calls
            .get_or_create(&ToolLabels { tool, outcome })
            .inc();
    }

    /// Says whether Redis is away, so that replicas do not share what they should.
    pub fn redis_degraded(&self, is_degraded: bool) {
        self.redis_degraded.set(i64::from(is_degraded));
    }

    /// Counts records of the audit trail.
    pub fn audit_records(&self, outcome: &'static str, count: u64) {
        self.audit_records
            .get_or_create(&OutcomeLabels { outcome })
            .inc_by(count);
    }

    /// Counts an attempt to write the audit trail that failed.
    pub fn audit_failure(&self) {
        self.audit_failures.inc();
    }

    /// Everything as text.
    pub fn encode(&self) -> String {
        let mut buffer = String::new();
        match text::encode(&mut buffer, &self.registry) {
            Ok(()) => buffer,
            Err(fmt::Error) => String::new(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

/// Methods are free text on the wire; unknown ones share a label.
fn method_label(method: &http::Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    known
        .into_iter()
        .find(|name| *name == method.as_str())
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_printed_and_strange_methods_share_a_label() {
        let metrics = Metrics::new();
        let strange = http::Method::from_bytes(b"BREW").unwrap();
        metrics.request("/token", &strange, 405, Duration::from_millis(2));
        metrics.tool_call("echo", "done");
        let text = metrics.encode();
        let line =
            "portcullis_http_requests_total{endpoint=\"/token\",method=\"other\",status=\"405\"} 1";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("portcullis_tool_calls_total{tool=\"echo\",outcome=\"done\"} 1"));
        assert!(text.ends_with("# EOF\n"));
    }
}
