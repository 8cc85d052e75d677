//! Examines an MCP server and its authorization server from outside, whoever made them.
//!
//! It sees what any stranger sees, and with a client's credentials what that client sees. It may
//! assume nothing about the answers: they are short, timed, and shown as text without secrets. It
//! must never follow a redirect, keep a token, or leave behind a client that it can remove.

mod authorize;
mod callback;
mod challenge;
mod claims;
mod cors;
mod counter;
mod discovery;
mod document;
mod keys;
mod login;
mod metadata;
mod person;
mod probe;
mod refresh;
mod registration;
mod report;
mod resource;
mod rule;
mod token;
mod transport;

use std::time::Duration;

use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::secret::ClientSecret;
use url::Url;

use discovery::Server;
use registration::Clients;
use resource::Resource;

pub(crate) use login::Login;
pub(crate) use probe::Probe;
pub(crate) use report::{Finding, Report, Severity};

/// Longest examination, without the waiting for a person.
const LONGEST: Duration = Duration::from_secs(120);

/// A client that the operator knows.
pub(crate) struct KnownClient {
    pub(crate) id: String,
    pub(crate) secret: Option<ClientSecret>,
}

/// What is examined.
pub(crate) struct Patient {
    /// The URL of the MCP endpoint as it was written.
    pub(crate) text: String,
    /// The same, parsed.
    pub(crate) url: Url,
    pub(crate) client: Option<KnownClient>,
    /// A redirect URI of that client.
    pub(crate) redirect_uri: Option<String>,
    /// Whether clients may be made for the examination.
    pub(crate) may_register: bool,
    /// How somebody is asked to log in, if that is wanted.
    pub(crate) login: Option<Login>,
}

impl Patient {
    /// The longest examination: at each server the person is waited for.
    fn longest(&self) -> Duration {
        let wait = self
            .login
            .as_ref()
            .map_or(Duration::ZERO, |login| login.wait);
        LONGEST.saturating_add(wait.saturating_mul(resource::MAX_SERVERS))
    }

    /// Whether this identifier is the URL. RFC 9728 §3.3 compares texts; only the slash that a bare
    /// origin may have is passed over.
    pub(super) fn is_named(&self, identifier: &str) -> bool {
        let canonical = ResourceIndicator::parse(&self.text);
        identifier == self.text || canonical.is_ok_and(|own| own.as_str() == identifier)
    }
}

/// Checks everything, within two minutes and the time that people take.
pub(crate) async fn examine(probe: &Probe, patient: &Patient, report: &mut Report<'_>) {
    let mut clients = Clients::default();
    let secret = patient
        .client
        .as_ref()
        .and_then(|client| client.secret.as_ref());
    report.conceal(secret.map_or("", ClientSecret::expose));
    let all = examine_resource(probe, patient, report, &mut clients);
    if tokio::time::timeout(patient.longest(), all).await.is_err() {
        report.error(
            rule::BOUNDED_TIME,
            format!("stopped after {} s", patient.longest().as_secs()),
        );
    }
    registration::clean_up(probe, &clients, report).await;
}

async fn examine_resource(
    probe: &Probe,
    patient: &Patient,
    report: &mut Report<'_>,
    clients: &mut Clients,
) {
    let Some(challenge) = challenge::check(probe, patient, report).await else {
        return;
    };
    transport::check(probe, &patient.url, &challenge.answer, report);
    let found = resource::check(probe, patient, &challenge, report).await;
    let Some(resource) = found else { return };
    for issuer in &resource.servers {
        if let Some(server) = discovery::check(probe, issuer, report).await {
            examine_server(probe, patient, (&server, &resource), report, clients).await;
        }
    }
}

async fn examine_server(
    probe: &Probe,
    patient: &Patient,
    found: (&Server, &Resource),
    report: &mut Report<'_>,
    clients: &mut Clients,
) {
    let (server, resource) = found;
    look_at_transport(probe, patient, server, report).await;
    metadata::check(probe, server, resource, report);
    let keys = keys::check(probe, server, report).await;
    cors::check(probe, resource, server, report).await;
    if patient.may_register {
        registration::check(probe, server, resource, clients, report).await;
    }
    let is_taken = authorize::check(probe, patient, found, clients, report).await;
    let known = patient.client.as_ref().map(|client| &client.id);
    let client_id = clients.main.as_ref().or(known);
    let client_id = client_id.map_or("portcullis-doctor-nobody", String::as_str);
    token::check_errors(probe, server, client_id, report).await;
    cors::check_token(probe, server, client_id, report).await;
    token::check(probe, patient, found, keys.as_ref(), report).await;
    if is_taken {
        login::check(probe, patient, found, clients, keys.as_ref(), report).await;
    } else if patient.login.is_some() {
        report.skip(rule::LOGIN_CALLBACK, "no client's request was taken");
    }
}

/// How the authorization server is reached, where it is another host.
async fn look_at_transport(
    probe: &Probe,
    patient: &Patient,
    server: &Server,
    report: &mut Report<'_>,
) {
    let Ok(url) = Url::parse(server.issuer.as_str()) else {
        return;
    };
    if url.origin() == patient.url.origin() {
        return;
    }
    if let Ok(answer) = probe.get(&server.metadata.url).await {
        transport::check(probe, &url, &answer, report);
    }
}
