//! The metadata of the resource (RFC 9728).

use portcullis_common::resource_indicator::WELL_KNOWN_PROTECTED_RESOURCE;

use super::Patient;
use super::challenge::Challenge;
use super::document::Document;
use super::probe::Probe;
use super::report::{Report, Severity};
use super::rule;

/// Most authorization servers of one resource that are looked at.
pub(super) const MAX_SERVERS: u32 = 3;

/// What the resource says of itself.
pub(super) struct Resource {
    /// The URL of the document that counts.
    pub(super) url: String,
    /// Its issuers.
    pub(super) servers: Vec<String>,
    /// The scopes it names, in challenge or metadata.
    pub(super) scopes: Vec<String>,
    /// What a client asks for first: the scopes of the challenge, or else all.
    pub(super) first_scopes: String,
}

/// Looks in all places. `None` if there is no document.
pub(super) async fn check(
    probe: &Probe,
    patient: &Patient,
    challenge: &Challenge,
    report: &mut Report<'_>,
) -> Option<Resource> {
    let origin = patient.url.origin().ascii_serialization();
    let rest = patient.url.as_str().get(origin.len()..).unwrap_or_default();
    let rest = if rest == "/" { "" } else { rest };
    let root_url = format!("{origin}{WELL_KNOWN_PROTECTED_RESOURCE}");
    let path_url = format!("{root_url}{rest}");

    let path = Document::load(probe, &path_url).await;
    let named = match challenge.metadata.as_deref() {
        Some(url) if url == path_url => None,
        Some(url) => Some(Document::load(probe, url).await),
        None => None,
    };
    judge_named(challenge, named.as_ref(), &path, report);
    let root = match rest {
        "" => None,
        _ => Some(Document::load(probe, &root_url).await),
    };
    judge_path(&path, named.as_ref(), report);
    let primary = named.and_then(Result::ok).or(path.ok());
    if let (Some(root), Some(primary)) = (&root, &primary) {
        judge_root(root, primary, report);
    }
    let document = primary?;
    judge_document(patient, &document, report);
    Some(read(challenge, &document))
}

/// RFC 9728 §5.1: the challenge leads to a document.
fn judge_named(
    challenge: &Challenge,
    named: Option<&Result<Document, String>>,
    path: &Result<Document, String>,
    report: &mut Report<'_>,
) {
    let rule = rule::CHALLENGE_METADATA;
    if !challenge.is_there {
        report.skip(rule, "there is no challenge");
        return;
    }
    let Some(url) = &challenge.metadata else {
        report.warn(rule, "no resource_metadata in a challenge");
        return;
    };
    match named.unwrap_or(path) {
        Ok(_) => report.ok(rule, format!("resource_metadata=\"{url}\"")),
        Err(why) => report.error(rule, format!("resource_metadata leads nowhere: {why}")),
    }
}

fn judge_path(
    path: &Result<Document, String>,
    named: Option<&Result<Document, String>>,
    report: &mut Report<'_>,
) {
    match path {
        Ok(document) => report.ok(rule::RESOURCE_PATH, document.url.clone()),
        // Clients that read the challenge find it; those that guess do not.
        Err(why) if matches!(named, Some(Ok(_))) => report.warn(rule::RESOURCE_PATH, why),
        Err(why) => report.error(rule::RESOURCE_PATH, why),
    }
}

fn judge_root(root: &Result<Document, String>, primary: &Document, report: &mut Report<'_>) {
    match root {
        Ok(root) => {
            let same = |name: &str| root.members.get(name) == primary.members.get(name);
            let holds = same("resource") && same("authorization_servers");
            let seen = format!(
                "{} names the resource {}",
                root.url,
                text(root.text("resource"))
            );
            report.judge(rule::RESOURCE_ROOT, holds, Severity::Warning, seen);
        }
        Err(_) => report.ok(
            rule::RESOURCE_ROOT,
            "there is no copy at the root, and need not be",
        ),
    }
}

fn text(found: Option<&str>) -> String {
    found.map_or("(none)".to_owned(), |text| format!("\"{text}\""))
}

fn judge_document(patient: &Patient, document: &Document, report: &mut Report<'_>) {
    let seen = format!(
        "{} says resource: {}",
        document.url,
        text(document.text("resource"))
    );
    let holds = document
        .text("resource")
        .is_some_and(|own| patient.is_named(own));
    report.judge(rule::RESOURCE_IDENTITY, holds, Severity::Error, seen);
    report.judge(
        rule::RESOURCE_TYPE,
        document.is_json,
        Severity::Warning,
        format!(
            "{} is {}JSON by its type",
            document.url,
            if document.is_json { "" } else { "not " }
        ),
    );
    let servers = document.list("authorization_servers").unwrap_or_default();
    let seen = format!("authorization_servers: {}", servers.join(", "));
    report.judge(
        rule::RESOURCE_SERVERS,
        !servers.is_empty(),
        Severity::Error,
        seen,
    );
    let scopes = document.list("scopes_supported").unwrap_or_default();
    let holds = !scopes.is_empty() && !scopes.contains(&"offline_access");
    let seen = format!("scopes_supported: {}", scopes.join(" "));
    report.judge(rule::RESOURCE_SCOPES, holds, Severity::Warning, seen);
    let methods = document.list("bearer_methods_supported");
    let holds = methods
        .as_ref()
        .is_none_or(|list| list.contains(&"header") && !list.contains(&"query"));
    let seen = methods.map_or("not said".to_owned(), |list| list.join(", "));
    report.judge(
        rule::RESOURCE_BEARER,
        holds,
        Severity::Warning,
        format!("bearer_methods_supported: {seen}"),
    );
}

fn read(challenge: &Challenge, document: &Document) -> Resource {
    let own = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut scopes = challenge.scopes.clone();
    for scope in own(document.list("scopes_supported").unwrap_or_default()) {
        if !scopes.contains(&scope) && scope != "offline_access" {
            scopes.push(scope);
        }
    }
    let mut servers = own(document.list("authorization_servers").unwrap_or_default());
    servers.truncate(MAX_SERVERS as usize);
    Resource {
        url: document.url.clone(),
        servers,
        first_scopes: match challenge.scopes.as_slice() {
            [] => scopes.join(" "),
            first => first.join(" "),
        },
        scopes,
    }
}
