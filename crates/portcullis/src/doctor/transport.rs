//! TLS and time.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use portcullis_common::clock::Timestamp;
use portcullis_common::issuer::is_loopback_host;
use url::Url;

use super::probe::{Answer, Probe};
use super::report::{Report, Severity};
use super::rule;
use crate::certificate;

/// Least lifetime of the promise of https: half a year, in seconds.
const LEAST_HSTS: u64 = 15_552_000;
/// Seconds of a day, and how long a certificate should be valid still: time to renew it.
const DAY: u64 = 86_400;
const LEAST_VALIDITY: Duration = Duration::from_secs(14 * DAY);
/// Farthest clocks without a remark, and without an error, in seconds.
const NEAR: u64 = 30;
const FAR: u64 = 300;

/// Nobody answers; a certificate that is refused says so in its own rule.
pub(super) fn unreachable(why: &str, report: &mut Report<'_>) {
    if why.to_ascii_lowercase().contains("certificate") {
        report.error(rule::TLS_CERTIFICATE, why);
    } else {
        report.error(rule::REACHABLE, why);
    }
}

/// How one server is reached. `url` is its own address.
pub(super) fn check(probe: &Probe, url: &Url, answer: &Answer, report: &mut Report<'_>) {
    let is_loopback = is_loopback_host(url);
    let is_https = url.scheme() == "https";
    let seen = match (is_https, is_loopback) {
        (true, _) => format!("{} is https", url.origin().ascii_serialization()),
        (false, true) => "plain http on loopback, which no one else can reach".to_owned(),
        (false, false) => format!("{} is plain http", url.origin().ascii_serialization()),
    };
    report.judge(
        rule::TLS_HTTPS,
        is_https || is_loopback,
        Severity::Error,
        seen,
    );
    let now = probe.clock.now();
    if is_https {
        judge_certificate(now, answer, report);
        judge_hsts(is_loopback, answer, report);
    }
    judge_clock(now, url, answer, report);
}

/// Whoever got an answer has a valid certificate before them; for how long?
fn judge_certificate(now: Timestamp, answer: &Answer, report: &mut Report<'_>) {
    let end = answer
        .certificate
        .as_ref()
        .and_then(|shown| certificate::end_of(shown.der()));
    let Some(end) = end else {
        report.skip(
            rule::TLS_CERTIFICATE,
            "valid, but its end could not be read",
        );
        return;
    };
    let left = end.since(now);
    let seen = format!("valid for {} days more", left.as_secs() / DAY);
    report.judge(
        rule::TLS_CERTIFICATE,
        left >= LEAST_VALIDITY,
        Severity::Warning,
        seen,
    );
}

/// RFC 6797 §8.1.1: counts over https only; for loopback names a browser would remember it for
/// every other program on the machine.
fn judge_hsts(is_loopback: bool, answer: &Answer, report: &mut Report<'_>) {
    let header = answer.header("strict-transport-security");
    let holds = match header {
        None => is_loopback,
        Some(value) => !is_loopback && max_age(value).is_some_and(|age| age >= LEAST_HSTS),
    };
    let seen = format!(
        "Strict-Transport-Security: {}",
        header.unwrap_or("not there")
    );
    report.judge(rule::TLS_HSTS, holds, Severity::Warning, seen);
}

fn max_age(value: &str) -> Option<u64> {
    let mut parts = value.split(';').filter_map(|part| part.split_once('='));
    let (_, age) = parts.find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))?;
    age.trim().trim_matches('"').parse().ok()
}

fn judge_clock(now: Timestamp, url: &Url, answer: &Answer, report: &mut Report<'_>) {
    let date = answer
        .header("date")
        .and_then(|text| DateTimeParser::new().parse_timestamp(text).ok());
    let Some(date) = date else {
        report.skip(rule::CLOCK_SKEW, "the answer has no Date");
        return;
    };
    let distance = date.as_second().abs_diff(now.seconds());
    let severity = if distance > FAR {
        Severity::Error
    } else {
        Severity::Warning
    };
    let seen = format!(
        "{} is {distance} s away",
        url.host_str().unwrap_or_default()
    );
    report.judge(rule::CLOCK_SKEW, distance <= NEAR, severity, seen);
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    /// What is said of an answer with this promise under this URL.
    fn hsts(url: &str, promise: Option<&'static str>) -> Severity {
        let mut headers = HeaderMap::new();
        if let Some(promise) = promise {
            headers.insert(
                "strict-transport-security",
                HeaderValue::from_static(promise),
            );
        }
        let answer = Answer {
            status: StatusCode::OK,
            headers,
            body: Vec::new(),
            certificate: None,
        };
        let mut report = Report::new(&|_| {});
        judge_hsts(
            is_loopback_host(&Url::parse(url).unwrap()),
            &answer,
            &mut report,
        );
        report.findings()[0].severity
    }

    #[test]
    fn the_promise_of_https_is_for_names_that_others_reach() {
        let year = Some("max-age=31536000");
        assert_eq!(hsts("https://mcp.example", year), Severity::Ok);
        assert_eq!(hsts("https://mcp.example", None), Severity::Warning);
        assert_eq!(
            hsts("https://mcp.example", Some("max-age=300")),
            Severity::Warning
        );
        assert_eq!(hsts("https://localhost", None), Severity::Ok);
        assert_eq!(hsts("https://localhost", year), Severity::Warning);
    }

    #[test]
    fn the_lifetime_of_the_promise_is_read_in_every_spelling() {
        assert_eq!(
            max_age("max-age=31536000; includeSubDomains"),
            Some(31_536_000)
        );
        assert_eq!(max_age("includeSubDomains; Max-Age=\"5\""), Some(5));
        assert_eq!(max_age("includeSubDomains"), None);
    }
}
