//! Which endpoints web pages may call (RFC 9700 §2.6).

use super::discovery::Server;
use super::probe::{Asked, Probe, summary};
use super::report::{Report, Severity};
use super::resource::Resource;
use super::rule;

/// Asks as a web page would.
pub(super) async fn check(
    probe: &Probe,
    resource: &Resource,
    server: &Server,
    report: &mut Report<'_>,
) {
    let mut closed = Vec::new();
    let keys = server
        .metadata
        .text("jwks_uri")
        .filter(|url| probe.permits(url));
    for url in [
        Some(resource.url.as_str()),
        Some(&server.metadata.url),
        keys,
    ]
    .into_iter()
    .flatten()
    {
        let asked = probe.get_from_page(url).await;
        // What is not there is somebody else's complaint.
        let is_there = asked
            .as_ref()
            .is_ok_and(|answer| answer.status.is_success());
        if is_there && !allows(probe, &asked) {
            closed.push(format!(
                "{url}: {}, not for {}",
                summary(&asked),
                probe.origin
            ));
        }
    }
    report.judge_missing(
        rule::CORS_METADATA,
        &closed,
        Severity::Warning,
        "metadata and keys",
    );
}

/// The token endpoint: what the browser asks first, and then the call itself. A refusal must be
/// readable too, or the page never learns what is wrong.
pub(super) async fn check_token(
    probe: &Probe,
    server: &Server,
    client_id: &str,
    report: &mut Report<'_>,
) {
    let Some(url) = server
        .metadata
        .text("token_endpoint")
        .filter(|url| probe.permits(url))
    else {
        return;
    };
    let form = [
        ("grant_type", "authorization_code"),
        ("code", "portcullis-doctor-no-such-code"),
        ("client_id", client_id),
    ];
    let asked = [
        ("preflight", probe.preflight(url).await),
        (
            "POST",
            probe
                .post_form(url, &form, &[("origin", &probe.origin)])
                .await,
        ),
    ];
    let closed: Vec<String> = asked
        .iter()
        .filter(|(_, asked)| !allows(probe, asked))
        .map(|(what, asked)| format!("{what}: {}, not for {}", summary(asked), probe.origin))
        .collect();
    report.judge_missing(
        rule::CORS_TOKEN,
        &closed,
        Severity::Warning,
        probe.origin.clone(),
    );
}

/// Whether the page may read the answer.
pub(super) fn allows(probe: &Probe, asked: &Asked) -> bool {
    asked
        .as_ref()
        .is_ok_and(|answer| answer.allows(&probe.origin))
}
