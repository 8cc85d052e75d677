//! What the metadata of an authorization server says (RFC 8414 §2).

use serde_json::Value;

use super::discovery::Server;
use super::document::Document;
use super::probe::Probe;
use super::report::{Report, Severity};
use super::resource::Resource;
use super::rule;

/// Holds every member against its rule; nothing is asked.
pub(super) fn check(probe: &Probe, server: &Server, resource: &Resource, report: &mut Report<'_>) {
    let document = &server.metadata;
    judge_endpoints(probe, document, report);
    judge_pkce(document, report);
    judge_types(document, report);
    judge_auth_methods(document, report);
    let flag = "authorization_response_iss_parameter_supported";
    let seen = format!("{flag}: {}", shown(document, flag));
    report.judge(
        rule::ISS_PARAMETER,
        document.is_true(flag),
        Severity::Warning,
        seen,
    );
    judge_scopes(document, resource, report);
    let flag = "client_id_metadata_document_supported";
    let seen = format!("{flag}: {}", shown(document, flag));
    report.judge(rule::CIMD, document.is_true(flag), Severity::Warning, seen);
}

/// A member as it was written, or that it is not there.
fn shown(document: &Document, name: &str) -> String {
    document
        .members
        .get(name)
        .map_or("not there".to_owned(), Value::to_string)
}

fn judge_endpoints(probe: &Probe, document: &Document, report: &mut Report<'_>) {
    let mut missing = Vec::new();
    for name in ["authorization_endpoint", "token_endpoint"] {
        if document.text(name).is_none() {
            missing.push(format!("{name} is missing"));
        }
    }
    if document.list("response_types_supported").is_none() {
        missing.push("response_types_supported is missing".to_owned());
    }
    report.judge_missing(
        rule::METADATA_REQUIRED,
        &missing,
        Severity::Error,
        "all there",
    );
    let is_address = |name: &str| name.ends_with("_endpoint") || name == "jwks_uri";
    let unsafe_ones: Vec<String> = document
        .members
        .iter()
        .filter(|(name, value)| {
            is_address(name) && !value.as_str().is_some_and(|url| probe.permits(url))
        })
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    report.judge_missing(
        rule::METADATA_HTTPS,
        &unsafe_ones,
        Severity::Error,
        "every endpoint",
    );
}

fn judge_pkce(document: &Document, report: &mut Report<'_>) {
    let name = "code_challenge_methods_supported";
    let methods = document.list(name).unwrap_or_default();
    let seen = format!("{name}: {}", shown(document, name));
    let holds = methods.contains(&"S256");
    report.judge(rule::PKCE_S256, holds, Severity::Error, seen.clone());
    if holds {
        report.judge(
            rule::PKCE_PLAIN,
            !methods.contains(&"plain"),
            Severity::Warning,
            seen,
        );
    }
}

fn judge_types(document: &Document, report: &mut Report<'_>) {
    let name = "response_types_supported";
    if let Some(types) = document.list(name) {
        let seen = format!("{name}: {}", shown(document, name));
        let has_token = types
            .iter()
            .any(|kind| kind.split(' ').any(|word| word == "token"));
        let has_code = types.contains(&"code");
        let severity = if has_code {
            Severity::Warning
        } else {
            Severity::Error
        };
        report.judge(rule::RESPONSE_TYPES, has_code && !has_token, severity, seen);
    }
    let name = "grant_types_supported";
    let seen = format!("{name}: {}", shown(document, name));
    let Some(grants) = document.list(name) else {
        report.warn(rule::GRANT_TYPES, seen);
        return;
    };
    let has = |grant: &str| grants.contains(&grant);
    let holds = has("authorization_code") && has("refresh_token");
    let is_old = has("password") || has("implicit");
    report.judge(rule::GRANT_TYPES, holds && !is_old, Severity::Warning, seen);
}

fn judge_auth_methods(document: &Document, report: &mut Report<'_>) {
    let name = "token_endpoint_auth_methods_supported";
    let methods = document.list(name).unwrap_or_default();
    let has = |method: &str| methods.contains(&method);
    let mut missing = Vec::new();
    if !has("none") {
        missing.push("none for public clients");
    }
    if !has("client_secret_basic") && !has("private_key_jwt") {
        missing.push("client_secret_basic or private_key_jwt for confidential clients");
    }
    // RFC 8414 §2: with assertions the algorithms must be said, and `none` is not one of them.
    let algorithms = document.list("token_endpoint_auth_signing_alg_values_supported");
    if has("private_key_jwt")
        && algorithms.is_none_or(|list| list.is_empty() || list.contains(&"none"))
    {
        missing.push("token_endpoint_auth_signing_alg_values_supported");
    }
    let mut seen = format!("{name}: {}", shown(document, name));
    if !missing.is_empty() {
        seen = format!("{seen}; missing: {}", missing.join(", "));
    }
    report.judge(
        rule::TOKEN_AUTH_METHODS,
        missing.is_empty(),
        Severity::Warning,
        seen,
    );
}

fn judge_scopes(document: &Document, resource: &Resource, report: &mut Report<'_>) {
    let Some(known) = document.list("scopes_supported") else {
        report.skip(rule::SCOPES_SUPPORTED, "the metadata lists no scopes");
        return;
    };
    let unknown: Vec<String> = resource
        .scopes
        .iter()
        .filter(|scope| !known.contains(&scope.as_str()))
        .map(|scope| format!("{scope} is not among {}", known.join(" ")))
        .collect();
    report.judge_missing(
        rule::SCOPES_SUPPORTED,
        &unknown,
        Severity::Warning,
        known.join(" "),
    );
}
