//! What is counted. The registry is handed in, not global.
//!
//! Every label has a bounded set of values: routes as they were declared, names of registered
//! tools, our own words for outcomes. Nothing that a stranger sends becomes a label.

mod exposition;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

pub use exposition::Exposition;

/// The metrics as they are passed around.
pub type SharedMetrics = Arc<Metrics>;

/// The outcome of a token that passed every check.
pub const VALID: &str = "valid";

/// The error of an answer, as an extension of it: a code of a specification or a word of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub &'static str);

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
struct ErrorLabels {
    endpoint: String,
    error: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    part: &'static str,
    /// Empty where the part is no issuer's; the issuers are those of the configuration.
    issuer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
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
    errors: Family<ErrorLabels, Counter>,
    parts: Family<PartLabels, Gauge>,
    token_validations: Family<OutcomeLabels, Counter>,
    /// The one of them that nearly every call counts.
    valid_tokens: Counter,
    refusals: Family<OutcomeLabels, Counter>,
    tool_calls: Family<ToolLabels, Counter>,
    redis_degraded: Gauge,
    spans: Family<OutcomeLabels, Counter>,
    audit_records: Family<OutcomeLabels, Counter>,
    audit_failures: Counter,
}

/// Makes families that are listed.
struct Registered<'a>(&'a mut Registry);

impl Registered<'_> {
    fn add<M: Metric + Default + Clone>(&mut self, name: &str, text: &str) -> M {
        let family = M::default();
        self.0.register(name, text, family.clone());
        family
    }
}

impl Metrics {
    /// All counters at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        let durations = Timings::new_with_constructor(|| Histogram::new(BUCKETS));
        let text = "Time from the request head to the answer head";
        registry.register("http_request_duration_seconds", text, durations.clone());
        let mut all = Registered(&mut registry);
        let build: Family<BuildLabels, Gauge> = all.add("build_info", "The version that runs");
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create_owned(&BuildLabels { version }).set(1);
        let token_validations: Family<OutcomeLabels, Counter> = all.add(
            "token_validations",
            "Access tokens presented, by what was found",
        );
        let valid_tokens = token_validations.get_or_create_owned(&OutcomeLabels { outcome: VALID });
        let spans: Family<OutcomeLabels, Counter> =
            all.add("trace_spans", "Spans, by what became of them");
        // There from the start: an alert on drops must see the first one.
        for outcome in ["sent", "refused", "dropped"] {
            drop(spans.get_or_create(&OutcomeLabels { outcome }));
        }
        Self {
            requests: all.add("http_requests", "Requests answered"),
            errors: all.add(
                "errors",
                "Answers that refuse or fail, by the code of the error",
            ),
            parts: all.add(
                "ready",
                "Whether a part can do its work: 1 or 0, asked when the metrics are read",
            ),
            refusals: all.add("guard_refusals", "Calls that the guard refused"),
            tool_calls: all.add("tool_calls", "Calls of tools, by how they ended"),
            redis_degraded: all.add(
                "redis_degraded",
                "1 while Redis is configured and away, else 0",
            ),
            durations,
            token_validations,
            valid_tokens,
            audit_records: all.add(
                "audit_records",
                "Records of the audit trail, by what became of them",
            ),
            audit_failures: all.add(
                "audit_write_failures",
                "Attempts to write the audit trail that failed",
            ),
            spans,
            registry,
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

    /// Counts an answer that refuses or fails; `error` is what its [`ErrorCode`] says, else what its
    /// status says.
    pub fn error(&self, endpoint: &str, error: Option<ErrorCode>, status: StatusCode) {
        let error = match error {
            Some(ErrorCode(word)) => word,
            None => word_of(status),
        };
        let endpoint = endpoint.to_owned();
        self.errors
            .get_or_create(&ErrorLabels { endpoint, error })
            .inc();
    }

    /// Notes whether a part can do its work; `issuer` is empty where the part is no issuer's.
    pub fn ready(&self, part: &'static str, issuer: &str, is_ready: bool) {
        let issuer = issuer.to_owned();
        self.parts
            .get_or_create(&PartLabels { part, issuer })
            .set(is_ready.into());
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

    /// Counts spans: `sent`, `refused` by the collector, or `dropped` here.
    pub fn spans(&self, outcome: &'static str, number: u64) {
        self.spans
            .get_or_create(&OutcomeLabels { outcome })
            .inc_by(number);
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

    /// Everything, written down.
    pub fn encode(&self, exposition: Exposition) -> String {
        let mut buffer = String::new();
        if let Err(fmt::Error) = text::encode(&mut buffer, &self.registry) {
            return String::new();
        }
        match exposition {
            Exposition::OpenMetrics => buffer,
            Exposition::Text => exposition::as_text(&buffer),
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

/// What an answer without a code of its own is counted under: pages have none.
fn word_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        _ if status.is_server_error() => "server_error",
        _ => "refused",
    }
}

/// Methods are free text on the wire; unknown ones share a label.
pub fn method_label(method: &http::Method) -> &'static str {
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
        let text = metrics.encode(Exposition::OpenMetrics);
        let line =
            "portcullis_http_requests_total{endpoint=\"/token\",method=\"other\",status=\"405\"} 1";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("portcullis_tool_calls_total{tool=\"echo\",outcome=\"done\"} 1"));
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn an_error_is_counted_under_its_code_and_one_without_under_what_its_status_means() {
        let metrics = Metrics::new();
        let code = Some(ErrorCode("invalid_grant"));
        metrics.error("/token", code, StatusCode::BAD_REQUEST);
        metrics.error("/login", None, StatusCode::FORBIDDEN);
        metrics.error("/login", None, StatusCode::BAD_GATEWAY);
        metrics.ready("store", "", true);
        metrics.ready("issuer_keys", "https://as.example", false);
        let text = metrics.encode(Exposition::Text);
        for line in [
            "portcullis_errors_total{endpoint=\"/token\",error=\"invalid_grant\"} 1",
            "portcullis_errors_total{endpoint=\"/login\",error=\"refused\"} 1",
            "portcullis_errors_total{endpoint=\"/login\",error=\"server_error\"} 1",
            "portcullis_ready{part=\"store\",issuer=\"\"} 1",
            "portcullis_ready{part=\"issuer_keys\",issuer=\"https://as.example\"} 0",
        ] {
            assert!(text.contains(line), "{line} is missing: {text}");
        }
    }
}
