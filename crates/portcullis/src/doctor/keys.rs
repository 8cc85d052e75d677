//! The published keys (RFC 7517).

use std::collections::HashSet;

use http::StatusCode;
use portcullis_common::jwks::{JwkSetError, KeySet};
use portcullis_common::jws::{JwkError, VerifyingKey};
use serde_json::Value;

use super::discovery::Server;
use super::probe::Probe;
use super::report::{Report, Severity};
use super::rule;

/// Members that only the owner of a key may know (RFC 7518 §6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Fetches the set and looks at every key. `None` if no token can be verified with it.
pub(super) async fn check(
    probe: &Probe,
    server: &Server,
    report: &mut Report<'_>,
) -> Option<KeySet> {
    let Some(url) = server.metadata.text("jwks_uri") else {
        report.warn(
            rule::JWKS_FORM,
            "no jwks_uri: resource servers cannot verify tokens themselves",
        );
        return None;
    };
    if !probe.permits(url) {
        report.skip(rule::JWKS_FORM, format!("{url} is not asked"));
        return None;
    }
    let answer = match probe.get(url).await {
        Ok(answer) if answer.status == StatusCode::OK => answer,
        Ok(answer) => {
            report.error(rule::JWKS_FORM, format!("{url}: {}", answer.summary()));
            return None;
        }
        Err(error) => {
            report.error(rule::JWKS_FORM, error.to_string());
            return None;
        }
    };
    let set = answer.object().unwrap_or_default();
    let keys = set
        .get("keys")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let parsed = KeySet::parse(&answer.body);
    match &parsed {
        Err(error @ (JwkSetError::Malformed | JwkSetError::TooMany)) => {
            report.error(rule::JWKS_FORM, format!("{url}: {error}"));
            return None;
        }
        _ => report.ok(rule::JWKS_FORM, format!("{url}: {} keys", keys.len())),
    }
    judge_private(keys, report);
    judge_usable(keys, parsed.is_ok(), report);
    judge_names(keys, report);
    judge_uses(keys, report);
    parsed.ok()
}

fn text<'a>(key: &'a Value, name: &str) -> Option<&'a str> {
    key.get(name)?.as_str()
}

/// A key for people to recognise.
fn name(key: &Value) -> String {
    format!("key {}", text(key, "kid").unwrap_or("without kid"))
}

/// Keys that are not for encryption alone.
fn signature_keys(keys: &[Value]) -> impl Iterator<Item = &Value> {
    keys.iter()
        .filter(|key| text(key, "use").is_none_or(|usage| usage == "sig"))
}

fn judge_private(keys: &[Value], report: &mut Report<'_>) {
    let mut seen = Vec::new();
    for key in keys {
        let shown: Vec<&str> = PRIVATE
            .into_iter()
            .filter(|member| key.get(*member).is_some())
            .collect();
        if !shown.is_empty() {
            seen.push(format!("{} shows {}", name(key), shown.join(", ")));
        }
    }
    report.judge_missing(
        rule::JWKS_PRIVATE,
        &seen,
        Severity::Error,
        "public members only",
    );
}

fn judge_usable(keys: &[Value], is_one_usable: bool, report: &mut Report<'_>) {
    let is_weak = |key: &&Value| matches!(VerifyingKey::from_jwk(key), Err(JwkError::Rejected));
    let mut seen: Vec<String> = signature_keys(keys)
        .filter(is_weak)
        .map(|key| format!("{} is weak or no key at all", name(key)))
        .collect();
    if !is_one_usable && seen.is_empty() {
        seen.push("no key verifies ES256, EdDSA, RS256 or PS256".to_owned());
    }
    report.judge_missing(rule::JWKS_USABLE, &seen, Severity::Error, "at least one");
}

fn judge_names(keys: &[Value], report: &mut Report<'_>) {
    let mut names = HashSet::new();
    let mut seen = Vec::new();
    for key in signature_keys(keys) {
        match text(key, "kid") {
            None => seen.push("a key has no kid".to_owned()),
            Some(kid) if !names.insert(kid) => seen.push(format!("two keys are called {kid}")),
            Some(_) => {}
        }
    }
    report.judge_missing(rule::JWKS_KID, &seen, Severity::Error, "each its own");
}

fn judge_uses(keys: &[Value], report: &mut Report<'_>) {
    let mut seen = Vec::new();
    for key in keys {
        let is_said = key.get("use").is_some() || key.get("key_ops").is_some();
        if !is_said || text(key, "alg").is_none() {
            seen.push(format!("{} says not both use and alg", name(key)));
        }
    }
    report.judge_missing(rule::JWKS_ALG, &seen, Severity::Warning, "each says both");
}
