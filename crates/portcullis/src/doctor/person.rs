//! The access token of a person, and what it opens.

use std::collections::BTreeSet;

use http::StatusCode;
use portcullis_common::clock::Timestamp;
use portcullis_common::jwks::KeySet;
use serde_json::json;

use super::Patient;
use super::challenge::PROTOCOL;
use super::claims::{self, Expected};
use super::login::Tokens;
use super::probe::{Probe, summary};
use super::report::{Report, Severity};
use super::rule;
use super::token::{self, Jwt, Session};

/// Scopes that are about the person or the grant, and that not every token prints.
const UNPRINTED: [&str; 2] = ["offline_access", "openid"];

/// What the token should say.
pub(super) struct Person<'a> {
    pub(super) now: Timestamp,
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    /// The scopes that were asked for.
    pub(super) asked: &'a str,
    /// The published keys.
    pub(super) keys: Option<&'a KeySet>,
}

/// Holds the claims against the rules for every token, and those for a person's.
pub(super) fn check_claims(
    patient: &Patient,
    person: &Person<'_>,
    tokens: &Tokens,
    report: &mut Report<'_>,
) {
    let Some(jwt) = Jwt::read(&tokens.access) else {
        let why = "the token is no JWT; only its resource can read it";
        report.skip(rule::PERSON_SUBJECT, why);
        return;
    };
    let expected = Expected {
        now: person.now,
        issuer: person.issuer,
        patient,
        // What was granted stands in the answer, and is looked at below.
        scope: None,
        keys: person.keys,
    };
    claims::check(&jwt, &tokens.access, &expected, report);
    judge_subject(&jwt, person.client_id, report);
    judge_scope(&jwt, person.asked, tokens, report);
}

/// RFC 9068 §2.2: with a person there, `sub` is the person. Who it is, is nobody's business.
fn judge_subject(jwt: &Jwt, client_id: &str, report: &mut Report<'_>) {
    let subject = jwt.claim("sub").unwrap_or_default();
    let is_client = subject.strip_prefix("client:").unwrap_or(subject) == client_id;
    let seen = match subject {
        "" => "sub is not there",
        _ if is_client => "sub is the client's",
        _ => "sub is there, and not the client's",
    };
    let holds = !subject.is_empty() && !is_client;
    report.judge(rule::PERSON_SUBJECT, holds, Severity::Error, seen);
}

/// OAuth 2.1 §3.2.3: an answer without `scope` grants what was asked for.
fn judge_scope(jwt: &Jwt, asked: &str, tokens: &Tokens, report: &mut Report<'_>) {
    let granted = tokens.scope.as_deref().unwrap_or(asked);
    let said = jwt.claim("scope").unwrap_or_default();
    // Where nothing was asked for, the server chose (OAuth 2.1 §3.3).
    let is_asked_for = asked.is_empty() || scopes(granted) == scopes(asked);
    let holds = is_asked_for && (granted.is_empty() || scopes(said) == scopes(granted));
    let seen = format!("asked for: {asked}; granted: {granted}; scope: {said}");
    report.judge(rule::TOKEN_SCOPE, holds, Severity::Warning, seen);
}

fn scopes(text: &str) -> BTreeSet<&str> {
    text.split_whitespace()
        .filter(|scope| !UNPRINTED.contains(scope))
        .collect()
}

/// Lets the person in, and lists the tools; no tool is ever called.
pub(super) async fn check_acceptance(
    probe: &Probe,
    patient: &Patient,
    access: &str,
    report: &mut Report<'_>,
) {
    if let Some(session) = token::enter(probe, patient, access, report).await {
        list_tools(probe, patient, access, &session, report).await;
        token::leave(probe, patient, access, &session).await;
    }
}

async fn list_tools(
    probe: &Probe,
    patient: &Patient,
    access: &str,
    session: &Session,
    report: &mut Report<'_>,
) {
    let bearer = format!("Bearer {access}");
    let mut headers = vec![
        ("authorization", bearer.as_str()),
        ("mcp-protocol-version", PROTOCOL),
    ];
    headers.extend(session.0.as_deref().map(|id| ("mcp-session-id", id)));
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    // A server without sessions need not want to hear it.
    let _heard = probe.post_json(&patient.text, &ready, &headers).await;
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {} });
    let asked = probe.post_json(&patient.text, &list, &headers).await;
    let seen = summary(&asked);
    match &asked {
        Ok(answer) if answer.status.is_success() => {
            let has_list = answer.body.windows(7).any(|part| part == b"\"tools\"");
            let seen = if has_list { "a list" } else { "no list" };
            report.judge(rule::PERSON_TOOLS, has_list, Severity::Warning, seen);
        }
        // What speaks another revision refuses the form, not the person.
        Ok(answer)
            if answer.status.is_client_error()
                && !matches!(
                    answer.status,
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
                ) =>
        {
            report.warn(rule::PERSON_TOOLS, seen);
        }
        _ => report.error(rule::PERSON_TOOLS, seen),
    }
}
