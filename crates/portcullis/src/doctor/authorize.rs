//! What the authorization endpoint takes and what it refuses (OAuth 2.1 §4.1), seen by somebody who
//! never logs in.

use portcullis_common::entropy::random_text;
use portcullis_common::issuer::is_loopback_host;
use url::{Url, form_urlencoded};

use super::Patient;
use super::discovery::Server;
use super::probe::{Asked, Probe};
use super::registration::{Clients, REDIRECT_URI, STRANGER};
use super::report::{Report, Severity};
use super::resource::Resource;
use super::rule;

/// A client as which requests are made.
pub(super) struct Requester {
    pub(super) id: String,
    pub(super) redirect_uri: String,
}

impl Requester {
    /// The client that the operator named, else the one that was registered.
    pub(super) fn choose(patient: &Patient, clients: &Clients) -> Option<Self> {
        let known = patient.client.as_ref().zip(patient.redirect_uri.as_ref());
        let known = known.map(|(client, uri)| (client.id.clone(), uri.clone()));
        let made = || clients.main.clone().map(|id| (id, REDIRECT_URI.to_owned()));
        known
            .or_else(made)
            .map(|(id, redirect_uri)| Self { id, redirect_uri })
    }
}

/// What came of a request.
enum Outcome {
    /// A login, or whatever stands before it: the request was fine.
    Taken,
    /// A page that says no.
    Refused,
    /// Back at the client, with an error.
    SentBack(Vec<(String, String)>),
    /// Anything else.
    Failed,
}

/// One request, as it is changed from check to check.
#[derive(Clone)]
pub(super) struct AuthorizationRequest(Vec<(&'static str, String)>);

impl AuthorizationRequest {
    pub(super) fn with(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut changed = self.without(name);
        changed.0.push((name, value.into()));
        changed
    }

    fn without(&self, name: &str) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(own, _)| *own != name)
                .cloned()
                .collect(),
        )
    }

    pub(super) fn find(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The URL that a browser opens for it at this endpoint.
    pub(super) fn url(&self, endpoint: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish();
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        format!("{endpoint}{joint}{query}")
    }
}

/// One examination of one authorization endpoint.
struct Door<'a> {
    probe: &'a Probe,
    url: &'a str,
    issuer: &'a str,
    /// A proper request.
    request: AuthorizationRequest,
    /// Whether `iss` is announced.
    announces_iss: bool,
    /// The parameters of the errors that were sent back.
    errors: Vec<Vec<(String, String)>>,
}

/// The authorization endpoint, if it may be asked.
pub(super) fn endpoint<'a>(probe: &Probe, server: &'a Server) -> Option<&'a str> {
    let url = server.metadata.text("authorization_endpoint");
    url.filter(|url| probe.permits(url))
}

/// Makes one proper request, and then each mistake alone. Whether the proper one was taken.
pub(super) async fn check(
    probe: &Probe,
    patient: &Patient,
    found: (&Server, &Resource),
    clients: &Clients,
    report: &mut Report<'_>,
) -> bool {
    let (server, resource) = found;
    let Some(url) = endpoint(probe, server) else {
        return false;
    };
    let flag = "authorization_response_iss_parameter_supported";
    let mut door = Door {
        probe,
        url,
        issuer: server.issuer.as_str(),
        request: AuthorizationRequest(Vec::new()),
        announces_iss: server.metadata.is_true(flag),
        errors: Vec::new(),
    };
    door.knock_as_nobody(report).await;
    let Some(requester) = Requester::choose(patient, clients) else {
        report.skip(
            rule::PKCE_REQUIRED,
            "no client could be had; name one with --client-id and --redirect-uri",
        );
        return false;
    };
    let Some(request) = proper(probe, patient, resource, &requester) else {
        return false;
    };
    door.request = request;
    let is_taken = door.judge_proper(report).await;
    if is_taken {
        door.judge_pkce(report).await;
        door.judge_redirects(report).await;
        door.judge_clients(clients, report).await;
        door.judge_errors(report).await;
    }
    is_taken
}

/// A request as a well-behaved client makes it.
pub(super) fn proper(
    probe: &Probe,
    patient: &Patient,
    resource: &Resource,
    requester: &Requester,
) -> Option<AuthorizationRequest> {
    // Where nobody redeems the code, the challenge needs no verifier.
    let challenge = random_text::<32>(&*probe.entropy).ok()?;
    let state = random_text::<16>(&*probe.entropy).ok()?;
    let mut request = AuthorizationRequest(vec![
        ("response_type", "code".to_owned()),
        ("client_id", requester.id.clone()),
        ("redirect_uri", requester.redirect_uri.clone()),
        ("state", state),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256".to_owned()),
        ("resource", patient.text.clone()),
    ]);
    // MCP 2026-07-28 authorization, scope selection: what the challenge names is asked for first.
    if !resource.first_scopes.is_empty() {
        request = request.with("scope", &resource.first_scopes);
    }
    Some(request)
}

impl Door<'_> {
    /// Makes a request; what came of it, and in words.
    async fn ask(&mut self, request: &AuthorizationRequest) -> (Outcome, String) {
        let asked = self.probe.visit(&request.url(self.url)).await;
        let (outcome, seen) = judge(self.url, &asked, request.find("redirect_uri"));
        if let Outcome::SentBack(parameters) = &outcome {
            self.errors.push(parameters.clone());
        }
        (outcome, seen)
    }

    /// OAuth 2.1 §4.1.2.1: without a known client there is nobody to send the browser back to.
    async fn knock_as_nobody(&mut self, report: &mut Report<'_>) {
        let request = AuthorizationRequest(vec![
            ("response_type", "code".to_owned()),
            ("client_id", "portcullis-doctor-nobody".to_owned()),
            ("redirect_uri", format!("https://{STRANGER}/callback")),
        ]);
        let (outcome, seen) = self.ask(&request).await;
        let holds = !matches!(outcome, Outcome::SentBack(_));
        report.judge(rule::OPEN_REDIRECT, holds, Severity::Error, seen);
        self.errors.clear();
        if let Ok(answer) = self.probe.get_from_page(self.url).await {
            let holds = !answer.headers.contains_key("access-control-allow-origin");
            let seen = if holds {
                "none"
            } else {
                "Access-Control-Allow-Origin is sent"
            };
            report.judge(rule::CORS_AUTHORIZE, holds, Severity::Error, seen);
        }
    }

    /// Everything else is judged against a request that is taken.
    async fn judge_proper(&mut self, report: &mut Report<'_>) -> bool {
        let (outcome, seen) = self.ask(&self.request.clone()).await;
        let holds = matches!(outcome, Outcome::Taken);
        report.judge(rule::AUTHORIZE_REQUEST, holds, Severity::Error, seen);
        holds
    }

    async fn judge_pkce(&mut self, report: &mut Report<'_>) {
        let bare = self
            .request
            .without("code_challenge")
            .without("code_challenge_method");
        let (outcome, seen) = self.ask(&bare).await;
        judge_refusal(rule::PKCE_REQUIRED, Severity::Error, &outcome, seen, report);
        let plain = self.request.with("code_challenge_method", "plain");
        let (outcome, seen) = self.ask(&plain).await;
        judge_refusal(
            rule::PKCE_PLAIN_REFUSED,
            Severity::Warning,
            &outcome,
            seen,
            report,
        );
        let (outcome, seen) = self.ask(&self.request.with("response_type", "token")).await;
        judge_refusal(
            rule::IMPLICIT_REFUSED,
            Severity::Error,
            &outcome,
            seen,
            report,
        );
    }

    async fn judge_redirects(&mut self, report: &mut Report<'_>) {
        let own = self.request.find("redirect_uri").to_owned();
        let other = self.request.with("redirect_uri", format!("{own}/other"));
        let kept = self.errors.clone();
        let (outcome, seen) = self.ask(&other).await;
        let holds = matches!(outcome, Outcome::Refused | Outcome::Failed);
        report.judge(rule::REDIRECT_EXACT, holds, Severity::Error, seen);
        self.errors = kept;
        match other_port(&own) {
            None => report.skip(rule::REDIRECT_PORT, "the redirect URI is not on loopback"),
            Some(moved) => {
                let (outcome, seen) = self.ask(&self.request.with("redirect_uri", moved)).await;
                let holds = matches!(outcome, Outcome::Taken);
                report.judge(rule::REDIRECT_PORT, holds, Severity::Warning, seen);
            }
        }
    }

    async fn judge_clients(&mut self, clients: &Clients, report: &mut Report<'_>) {
        if let Some(id) = &clients.wildcard {
            let elsewhere = format!("https://{STRANGER}/nobody-registered-this");
            let request = self
                .request
                .with("client_id", id)
                .with("redirect_uri", elsewhere);
            let (outcome, seen) = self.ask(&request).await;
            let holds = matches!(outcome, Outcome::Refused | Outcome::Failed);
            let seen =
                format!("https://{STRANGER}/* was registered, another path was used: {seen}");
            report.judge(rule::REGISTRATION_WILDCARD, holds, Severity::Error, seen);
        }
        if let Some((id, scope)) = &clients.narrow {
            let request = self
                .request
                .with("client_id", id)
                .with("redirect_uri", REDIRECT_URI)
                .with("scope", scope);
            let (outcome, seen) = self.ask(&request).await;
            let holds = matches!(outcome, Outcome::Taken);
            let seen = format!("asked for {scope}: {seen}");
            report.judge(rule::REGISTRATION_SCOPE, holds, Severity::Warning, seen);
        }
    }

    /// RFC 9207 §2 and OAuth 2.1 §4.1.2.1: what every error carries.
    async fn judge_errors(&mut self, report: &mut Report<'_>) {
        if self.errors.is_empty() {
            // OpenID Connect Core §3.1.2.6: without a page there is only an error.
            self.ask(&self.request.with("prompt", "none")).await;
        }
        let Some(errors) = Some(&self.errors).filter(|errors| !errors.is_empty()) else {
            let why = "no error came back to the client; a page for people said it";
            report.skip(rule::AUTHORIZE_ISS, why);
            report.skip(rule::AUTHORIZE_STATE, why);
            return;
        };
        let value = |parameters: &[(String, String)], name: &str| {
            let found = parameters.iter().find(|(own, _)| own == name);
            found.map(|(_, value)| value.clone())
        };
        let wrong = errors.iter().map(|error| value(error, "iss")).find(|iss| {
            iss.as_deref()
                .map_or(self.announces_iss, |iss| iss != self.issuer)
        });
        let seen = match &wrong {
            None => "in every error that came back, or not announced".to_owned(),
            Some(None) => "announced, and not there".to_owned(),
            Some(Some(iss)) => format!("\"{iss}\", the issuer is \"{}\"", self.issuer),
        };
        report.judge(rule::AUTHORIZE_ISS, wrong.is_none(), Severity::Error, seen);
        let state = self.request.find("state");
        let holds = errors
            .iter()
            .all(|error| value(error, "state").as_deref() == Some(state));
        let seen = if holds {
            "unchanged"
        } else {
            "changed or lost"
        };
        report.judge(rule::AUTHORIZE_STATE, holds, Severity::Error, seen);
    }
}

fn judge_refusal(
    rule: rule::Rule,
    otherwise: Severity,
    outcome: &Outcome,
    seen: String,
    report: &mut Report<'_>,
) {
    match outcome {
        Outcome::Taken => report.judge(rule, false, otherwise, seen),
        Outcome::Refused | Outcome::SentBack(_) => report.ok(rule, seen),
        Outcome::Failed => report.warn(rule, seen),
    }
}

/// The same loopback address with another port.
fn other_port(uri: &str) -> Option<String> {
    let mut url = Url::parse(uri).ok().filter(is_loopback_host)?;
    let port = url.port_or_known_default().unwrap_or(80);
    url.set_port(Some(if port == 33_419 { 33_420 } else { 33_419 }))
        .ok()?;
    Some(url.into())
}

fn judge(endpoint: &str, asked: &Asked, redirect_uri: &str) -> (Outcome, String) {
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) => return (Outcome::Failed, error.to_string()),
    };
    let seen = answer.summary();
    if !answer.status.is_redirection() {
        let outcome = match answer.status {
            status if status.is_success() => Outcome::Taken,
            status if status.is_client_error() => Outcome::Refused,
            _ => Outcome::Failed,
        };
        return (outcome, format!("a page with status {seen}"));
    }
    let place = answer.header("location").unwrap_or_default();
    let place = Url::parse(endpoint).and_then(|base| base.join(place));
    let Ok(place) = place else {
        return (Outcome::Failed, seen);
    };
    let parameters = parameters(&place);
    let error = parameters.iter().find(|(name, _)| name == "error");
    let is_back = is_same_place(&place, redirect_uri);
    match (is_back, error) {
        (true, Some((_, error))) => {
            let seen = format!("sent back with error={error}");
            (Outcome::SentBack(parameters), seen)
        }
        (true, None) => (
            Outcome::Taken,
            "sent back without an error and without a login".to_owned(),
        ),
        (false, Some((_, error))) => (Outcome::Refused, format!("a page with error={error}")),
        (false, None) => (Outcome::Taken, format!("on to {}", place.path())),
    }
}

/// The parameters in the query and, as the implicit flow has them, in the fragment.
fn parameters(place: &Url) -> Vec<(String, String)> {
    let fragment = place.fragment().unwrap_or_default().as_bytes();
    place
        .query_pairs()
        .chain(form_urlencoded::parse(fragment))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn is_same_place(place: &Url, redirect_uri: &str) -> bool {
    Url::parse(redirect_uri)
        .is_ok_and(|own| own.origin() == place.origin() && own.path() == place.path())
}
