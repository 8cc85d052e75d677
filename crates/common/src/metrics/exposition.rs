//! How the counters are written down, and for whom.

use std::collections::HashSet;
use std::fmt::Write as _;

const OPEN_METRICS: &str = "application/openmetrics-text";

/// How the counters are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4, for readers that do not ask for OpenMetrics.
    Text,
}

impl Exposition {
    /// What a reader with this `Accept` header gets.
    pub fn for_reader(accept: Option<&str>) -> Self {
        let is_wanted = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let is_named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case(OPEN_METRICS));
            // RFC 9110 §12.4.2: a weight of zero means "not acceptable".
            let is_zero = |part: &str| {
                part.strip_prefix("q=")
                    .is_some_and(|weight| weight.trim_matches(['0', '.']).is_empty())
            };
            is_named && !parts.any(is_zero)
        };
        match accept.is_some_and(|accept| accept.split(',').any(is_wanted)) {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// OpenMetrics names a counter without its ending `_total` where it describes it; the older format
/// names it as its samples do, and has no mark for the end.
pub(super) fn as_text(open_metrics: &str) -> String {
    let described = |line: &'static str| {
        open_metrics
            .lines()
            .filter_map(move |text| text.strip_prefix(line))
    };
    let counters: HashSet<&str> = described("# TYPE ")
        .filter_map(|rest| rest.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len() + 256);
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        let (mark, kind, name) = (words.next(), words.next(), words.next());
        match (mark, kind, name, words.next()) {
            (Some("#"), Some(kind), Some(name), Some(rest)) if counters.contains(name) => {
                let _written = writeln!(text, "# {kind} {name}_total {rest}");
            }
            _ => {
                let _written = writeln!(text, "{line}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Metrics;
    use super::*;

    #[test]
    fn a_reader_that_does_not_ask_for_openmetrics_gets_the_older_text_with_every_help() {
        let unwanted = "application/openmetrics-text;q=0.0, text/plain";
        for asks in [
            None,
            Some("text/plain;version=0.0.4"),
            Some("*/*"),
            Some(unwanted),
        ] {
            assert_eq!(Exposition::for_reader(asks), Exposition::Text);
        }
        let newer = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        assert_eq!(Exposition::for_reader(Some(newer)), Exposition::OpenMetrics);

        let metrics = Metrics::new();
        metrics.request("/token", &http::Method::POST, 200, Duration::from_millis(2));
        let text = metrics.encode(Exposition::Text);
        for line in [
            "# HELP portcullis_http_requests_total Requests answered.",
            "# TYPE portcullis_http_requests_total counter",
            "portcullis_http_requests_total{endpoint=\"/token\",method=\"POST\",status=\"200\"} 1",
            "# TYPE portcullis_http_request_duration_seconds histogram",
            "portcullis_http_request_duration_seconds_count{endpoint=\"/token\"} 1",
        ] {
            assert!(
                text.lines().any(|own| own == line),
                "{line} is missing: {text}"
            );
        }
        assert!(!text.contains("EOF"), "{text}");

        let newer = metrics.encode(Exposition::OpenMetrics);
        assert!(newer.contains("# TYPE portcullis_http_requests counter"));
        assert!(newer.ends_with("# EOF\n"));
    }
}
