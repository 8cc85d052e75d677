//! Finding the metadata of an authorization server (RFC 8414), and whose it is.

use portcullis_common::issuer::Issuer;

use super::document::Document;
use super::probe::Probe;
use super::report::{Report, Severity};
use super::rule;

/// An authorization server whose metadata is its own.
pub(super) struct Server {
    pub(super) issuer: Issuer,
    pub(super) metadata: Document,
}

/// Looks in all places of this issuer. `None` if clients cannot go on from here either.
pub(super) async fn check(probe: &Probe, issuer: &str, report: &mut Report<'_>) -> Option<Server> {
    let parsed = Issuer::parse(issuer);
    let why = match &parsed {
        Ok(_) if probe.permits(issuer) => None,
        Ok(_) => Some("it is on loopback, the resource is not".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let seen = why
        .as_ref()
        .map_or(issuer.to_owned(), |why| format!("{issuer}: {why}"));
    report.judge(rule::ISSUER_FORM, why.is_none(), Severity::Error, seen);
    let issuer = parsed.ok().filter(|_| why.is_none())?;

    let mut forms = Vec::new();
    for url in issuer.metadata_urls() {
        forms.push(Document::load(probe, &url).await);
    }
    judge_forms(&forms, report);
    let mut found = forms.into_iter().filter_map(Result::ok);
    let metadata = found.next()?;
    let others: Vec<Document> = found.collect();
    let is_named = |document: &Document| document.text("issuer") == Some(issuer.as_str());
    let mut strangers = std::iter::once(&metadata)
        .chain(&others)
        .filter(|form| !is_named(form));
    match strangers.next() {
        None => report.ok(rule::ISSUER_IDENTITY, format!("\"{issuer}\" in all forms")),
        Some(form) => {
            let found = form.text("issuer").unwrap_or("(none)");
            let seen = format!(
                "{} says issuer: \"{found}\", looked up for \"{issuer}\"",
                form.url
            );
            report.error(rule::ISSUER_IDENTITY, seen);
        }
    }
    judge_consistency(&metadata, &others, report);
    // RFC 8414 §3.3: metadata of another issuer must not be used, by the doctor neither.
    is_named(&metadata).then_some(Server { issuer, metadata })
}

fn judge_forms(forms: &[Result<Document, String>], report: &mut Report<'_>) {
    let complaints: Vec<&str> = forms
        .iter()
        .filter_map(|form| form.as_ref().err().map(String::as_str))
        .collect();
    if complaints.len() == forms.len() {
        report.error(rule::DISCOVERY, complaints.join("; "));
        return;
    }
    let found: Vec<&str> = forms
        .iter()
        .filter_map(|form| form.as_ref().ok().map(|form| form.url.as_str()))
        .collect();
    report.ok(rule::DISCOVERY, found.join(", "));
    let Some((oauth, openid)) = forms.split_first() else {
        return;
    };
    match oauth {
        Ok(form) => report.ok(rule::DISCOVERY_OAUTH, form.url.clone()),
        Err(why) => report.warn(rule::DISCOVERY_OAUTH, why),
    }
    let missing: Vec<String> = openid
        .iter()
        .filter_map(|form| form.as_ref().err().cloned())
        .collect();
    if missing.len() == openid.len() {
        // A plain OAuth server owes nobody a document of OpenID.
        report.ok(
            rule::DISCOVERY_OPENID,
            "no document of OpenID, and none is needed",
        );
    } else {
        report.judge_missing(
            rule::DISCOVERY_OPENID,
            &missing,
            Severity::Warning,
            "in all places",
        );
    }
}

fn judge_consistency(metadata: &Document, others: &[Document], report: &mut Report<'_>) {
    const MEMBERS: [&str; 4] = [
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "jwks_uri",
    ];
    let mut differences = Vec::new();
    for other in others {
        for name in MEMBERS {
            if metadata.members.get(name) != other.members.get(name) {
                differences.push(format!("{name} differs at {}", other.url));
            }
        }
    }
    report.judge_missing(
        rule::DISCOVERY_CONSISTENT,
        &differences,
        Severity::Warning,
        "all forms say the same",
    );
}
