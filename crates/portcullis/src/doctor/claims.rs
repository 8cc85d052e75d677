//! What an access token says (RFC 9068 §2).

use portcullis_common::clock::Timestamp;
use portcullis_common::jwks::KeySet;
use serde_json::Value;

use super::Patient;
use super::report::{Report, Severity};
use super::rule;
use super::token::Jwt;

/// Longest lifetime of an access token without a remark, in seconds.
const LONG: i64 = 3600;
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 30;

/// What the token should say.
pub(super) struct Expected<'a> {
    pub(super) now: Timestamp,
    pub(super) issuer: &'a str,
    pub(super) patient: &'a Patient,
    /// The scopes that were asked for.
    pub(super) scope: Option<&'a str>,
    /// The published keys.
    pub(super) keys: Option<&'a KeySet>,
}

/// Holds header, claims and signature against their rules.
pub(super) fn check(jwt: &Jwt, token: &str, expected: &Expected<'_>, report: &mut Report<'_>) {
    judge_header(jwt, report);
    judge_signature(jwt, token, expected.keys, report);
    let issuer = jwt.claim("iss").unwrap_or_default();
    let seen = format!("iss: \"{issuer}\"");
    report.judge(
        rule::TOKEN_ISSUER,
        issuer == expected.issuer,
        Severity::Error,
        seen,
    );
    judge_audience(jwt, expected.patient, report);
    let mut missing = Vec::new();
    for name in ["exp", "iat", "jti", "sub", "client_id"] {
        if !jwt.claims.contains_key(name) {
            missing.push(format!("{name} is missing"));
        }
    }
    // A token without an end is a serious thing; the rest costs some servers their log lines.
    let severity = if jwt.claims.contains_key("exp") {
        Severity::Warning
    } else {
        Severity::Error
    };
    report.judge_missing(rule::TOKEN_CLAIMS, &missing, severity, "all there");
    judge_times(jwt, expected.now.seconds(), report);
    if let Some(scope) = expected.scope {
        judge_scope(jwt, scope, report);
    }
}

impl Jwt {
    pub(super) fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    fn member(&self, name: &str) -> &str {
        self.header
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("(none)")
    }

    fn time(&self, name: &str) -> Option<i64> {
        self.claims.get(name)?.as_i64()
    }
}

fn judge_header(jwt: &Jwt, report: &mut Report<'_>) {
    let (kind, algorithm) = (jwt.member("typ"), jwt.member("alg"));
    let seen = format!("typ: {kind}, alg: {algorithm}");
    let short = kind.to_ascii_lowercase();
    let is_access_token = short.strip_prefix("application/").unwrap_or(&short) == "at+jwt";
    // A shared secret would have to be known to every resource server, and anybody can sign with none.
    let is_asymmetric = !algorithm.starts_with("HS") && !matches!(algorithm, "none" | "(none)");
    let severity = if is_asymmetric {
        Severity::Warning
    } else {
        Severity::Error
    };
    report.judge(
        rule::TOKEN_TYPE,
        is_access_token && is_asymmetric,
        severity,
        seen,
    );
}

fn judge_signature(jwt: &Jwt, token: &str, keys: Option<&KeySet>, report: &mut Report<'_>) {
    let Some(keys) = keys else {
        report.skip(rule::TOKEN_SIGNATURE, "there are no published keys");
        return;
    };
    let (kid, algorithm) = (jwt.member("kid"), jwt.member("alg"));
    let seen = format!("kid: {kid}, alg: {algorithm}");
    match keys.find(kid, algorithm) {
        None => report.error(rule::TOKEN_SIGNATURE, format!("{seen}: not published")),
        Some(key) => {
            let holds = key.verify_compact(token).is_ok();
            report.judge(rule::TOKEN_SIGNATURE, holds, Severity::Error, seen);
        }
    }
}

fn judge_audience(jwt: &Jwt, patient: &Patient, report: &mut Report<'_>) {
    let (holds, seen) = audience(jwt, patient);
    report.judge(rule::TOKEN_AUDIENCE, holds, Severity::Error, seen);
}

/// Whether the token is for the resource, and for whom it is.
pub(super) fn audience(jwt: &Jwt, patient: &Patient) -> (bool, String) {
    let audience = jwt.claims.get("aud");
    let holds = match audience {
        Some(Value::String(one)) => patient.is_named(one),
        Some(Value::Array(many)) => many
            .iter()
            .filter_map(Value::as_str)
            .any(|one| patient.is_named(one)),
        _ => false,
    };
    let seen = format!(
        "aud: {}",
        audience.map_or("not there".to_owned(), Value::to_string)
    );
    (holds, seen)
}

fn judge_times(jwt: &Jwt, now: i64, report: &mut Report<'_>) {
    let mut faults = Vec::new();
    for name in ["iat", "nbf"] {
        if let Some(ahead) = jwt
            .time(name)
            .map(|time| time - now)
            .filter(|ahead| *ahead > LEEWAY)
        {
            faults.push(format!("{name} lies {ahead} s ahead"));
        }
    }
    if let Some(expiry) = jwt.time("exp").filter(|expiry| *expiry <= now) {
        faults.push(format!("exp passed {} s ago", now - expiry));
    }
    report.judge_missing(
        rule::TOKEN_CLOCK,
        &faults,
        Severity::Error,
        "by the local clock",
    );
    if let (Some(from), Some(until)) = (jwt.time("iat"), jwt.time("exp")) {
        let lifetime = until.saturating_sub(from);
        let seen = format!("{lifetime} s");
        report.judge(
            rule::TOKEN_LIFETIME,
            lifetime <= LONG,
            Severity::Warning,
            seen,
        );
    }
}

fn judge_scope(jwt: &Jwt, wanted: &str, report: &mut Report<'_>) {
    let granted: Vec<&str> = jwt.claim("scope").unwrap_or_default().split(' ').collect();
    let wanted_ones: Vec<&str> = wanted.split(' ').collect();
    let holds = wanted_ones.iter().all(|scope| granted.contains(scope))
        && granted.iter().all(|scope| wanted_ones.contains(scope));
    let seen = format!("asked for: {wanted}; scope: {}", granted.join(" "));
    report.judge(rule::TOKEN_SCOPE, holds, Severity::Warning, seen);
}
