//! What the resource answers to strangers.

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};

use super::Patient;
use super::probe::{Answer, Asked, Probe, summary};
use super::report::{Report, Severity};
use super::rule;

/// The revision of MCP that is spoken: the last one with an `initialize`.
pub(super) const PROTOCOL: &str = "2025-11-25";

/// A text that is no token of anybody.
const GARBAGE: &str = "Bearer portcullis-doctor.is-not.a-token";

/// What the 401 says.
pub(super) struct Challenge {
    /// Whether there is a challenge at all.
    pub(super) is_there: bool,
    /// `resource_metadata`
    pub(super) metadata: Option<String>,
    /// The words of `scope`.
    pub(super) scopes: Vec<String>,
    /// The answer itself.
    pub(super) answer: Answer,
}

impl Challenge {
    /// An answer that challenges nobody.
    const fn none(answer: Answer) -> Self {
        Self {
            is_there: false,
            metadata: None,
            scopes: Vec::new(),
            answer,
        }
    }
}

/// A request as every MCP client begins with.
pub(super) fn first_request() -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": { "name": "portcullis doctor", "version": env!("CARGO_PKG_VERSION") },
        },
    })
}

/// Knocks without a token and with a bad one. `None` if nobody answers.
pub(super) async fn check(
    probe: &Probe,
    patient: &Patient,
    report: &mut Report<'_>,
) -> Option<Challenge> {
    let posted = probe.post_json(&patient.text, &first_request(), &[]).await;
    let answer = match posted {
        Ok(answer) => answer,
        Err(error) => {
            super::transport::unreachable(&error.to_string(), report);
            return None;
        }
    };
    report.ok(rule::REACHABLE, format!("{} answers", patient.text));
    let is_challenge = answer.status == StatusCode::UNAUTHORIZED;
    let seen = format!("POST: {}", answer.summary());
    report.judge(rule::CHALLENGE_POST, is_challenge, Severity::Error, seen);
    judge_get(&probe.get(&patient.text).await, report);
    if !is_challenge {
        // Another answer has no challenge that could be judged.
        return Some(Challenge::none(answer));
    }
    let Some(parameters) = bearer(&answer) else {
        report.error(rule::CHALLENGE_SCHEME, seen_header(&answer));
        return Some(Challenge::none(answer));
    };
    report.ok(rule::CHALLENGE_SCHEME, seen_header(&answer));
    let find = |name: &str| find(&parameters, name);
    let error = find("error");
    let seen = error.map_or("no error".to_owned(), |error| format!("error=\"{error}\""));
    report.judge(
        rule::CHALLENGE_NO_ERROR,
        error.is_none(),
        Severity::Warning,
        seen,
    );
    let scope = judge_scope(find("scope"), report);
    judge_garbage(probe, patient, report).await;
    Some(Challenge {
        is_there: true,
        metadata: find("resource_metadata").map(str::to_owned),
        scopes: scope
            .map(|scope| scope.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
        answer,
    })
}

fn judge_get(asked: &Asked, report: &mut Report<'_>) {
    let seen = format!("GET: {}", summary(asked));
    match asked {
        Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => {
            report.ok(rule::CHALLENGE_GET, seen);
        }
        // Whoever gets in without a token has got in.
        Ok(answer) if answer.status.is_success() => report.error(rule::CHALLENGE_GET, seen),
        _ => report.warn(rule::CHALLENGE_GET, seen),
    }
}

/// The scopes of the challenge, if they can be asked for.
fn judge_scope<'a>(scope: Option<&'a str>, report: &mut Report<'_>) -> Option<&'a str> {
    let Some(scope) = scope.filter(|scope| !scope.is_empty()) else {
        report.warn(rule::CHALLENGE_SCOPE, "no scope");
        return None;
    };
    // RFC 6749 §3.3: printable ASCII without quotes and backslashes.
    let is_legal = |c: char| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~');
    let holds = scope.chars().all(is_legal);
    let seen = format!("scope=\"{scope}\"");
    report.judge(rule::CHALLENGE_SCOPE, holds, Severity::Error, seen);
    holds.then_some(scope)
}

async fn judge_garbage(probe: &Probe, patient: &Patient, report: &mut Report<'_>) {
    let headers = [("authorization", GARBAGE)];
    let asked = probe
        .post_json(&patient.text, &first_request(), &headers)
        .await;
    let error = asked.as_ref().ok().and_then(bearer);
    let error = error
        .as_deref()
        .and_then(|parameters| find(parameters, "error"));
    let is_refused = asked
        .as_ref()
        .is_ok_and(|answer| answer.status == StatusCode::UNAUTHORIZED);
    let seen = format!(
        "POST with a token that is none: {}, error=\"{}\"",
        summary(&asked),
        error.unwrap_or_default()
    );
    let holds = is_refused && error == Some("invalid_token");
    report.judge(rule::CHALLENGE_INVALID_TOKEN, holds, Severity::Error, seen);
}

fn seen_header(answer: &Answer) -> String {
    let header = answer.header("www-authenticate");
    header.map_or("no WWW-Authenticate".to_owned(), |header| {
        format!("WWW-Authenticate: {header}")
    })
}

fn find<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = parameters.iter().find(|(own, _)| own == name);
    found.map(|(_, value)| value.as_str())
}

/// The parameters of the Bearer challenge; `None` if there is no such challenge (RFC 9110 §11.6.1:
/// several may stand in one header, and several headers in one answer).
pub(super) fn bearer(answer: &Answer) -> Option<Vec<(String, String)>> {
    let lines = answer.headers.get_all(WWW_AUTHENTICATE).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .find_map(bearer_of)
}

fn bearer_of(line: &str) -> Option<Vec<(String, String)>> {
    let mut found: Option<Vec<(String, String)>> = None;
    let mut is_bearer = false;
    for item in items(line) {
        let mut item = item.trim();
        let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
        if !word.contains('=') {
            is_bearer = word.eq_ignore_ascii_case("bearer");
            item = rest.trim();
        }
        if !is_bearer {
            continue;
        }
        let parameters = found.get_or_insert_default();
        if let Some((name, value)) = item.split_once('=') {
            let value = value.trim().trim_matches('"').replace('\\', "");
            parameters.push((name.trim().to_ascii_lowercase(), value));
        }
    }
    found
}

/// The parts between commas that stand outside quotes.
fn items(line: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                items.push(line.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(line.get(start..).unwrap_or_default());
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&[(&str, &str)]>) {
        let expected = expected.map(|list| {
            list.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        });
        assert_eq!(bearer_of(line), expected, "{line}");
    }

    #[test]
    fn the_bearer_challenge_is_found_among_others() {
        check("Basic realm=\"x\"", None);
        check("Bearer", Some(&[]));
        check("bearer a=b", Some(&[("a", "b")]));
        check(
            "Basic realm=\"a, Bearer b=c\", Bearer scope=\"mcp:read mcp:write\", error=\"x\", DPoP algs=\"ES256\"",
            Some(&[("scope", "mcp:read mcp:write"), ("error", "x")]),
        );
        check(
            "Bearer resource_metadata=\"https://h/x?a=b\"",
            Some(&[("resource_metadata", "https://h/x?a=b")]),
        );
    }
}
