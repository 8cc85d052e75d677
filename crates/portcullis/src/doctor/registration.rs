//! Whether clients can register themselves (RFC 7591), and what they may register.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::cors;
use super::discovery::Server;
use super::probe::{Answer, Asked, Probe, summary};
use super::report::{Report, Severity};
use super::resource::Resource;
use super::rule;

/// Where the clients that are made for the examination want to be sent back; nobody listens there.
pub(super) const REDIRECT_URI: &str = "http://127.0.0.1:33418/portcullis-doctor";
/// A name that can belong to nobody (RFC 6761 §6.4).
pub(super) const STRANGER: &str = "portcullis-doctor.invalid";

/// A client that was made for the examination.
struct Registered {
    id: String,
    /// Where and with what it is removed again.
    management: Option<(String, String)>,
}

/// All clients that were made, by what they are for.
#[derive(Default)]
pub(super) struct Clients {
    made: Vec<Registered>,
    /// The one for the authorization requests.
    pub(super) main: Option<String>,
    /// The one with a wildcard, if it was taken.
    pub(super) wildcard: Option<String>,
    /// The one with a single scope, and another scope.
    pub(super) narrow: Option<(String, String)>,
}

impl Clients {
    /// A client is known at the server where it registered and nowhere else.
    fn forget_server(&mut self) {
        let made = std::mem::take(&mut self.made);
        *self = Self {
            made,
            ..Self::default()
        };
    }
}

/// One examination of one registration endpoint.
struct Desk<'a> {
    probe: &'a Probe,
    url: &'a str,
    clients: &'a mut Clients,
}

/// Registers what it needs and tries what must be refused.
pub(super) async fn check(
    probe: &Probe,
    server: &Server,
    resource: &Resource,
    clients: &mut Clients,
    report: &mut Report<'_>,
) {
    clients.forget_server();
    let Some(url) = server.metadata.text("registration_endpoint") else {
        if server
            .metadata
            .is_true("client_id_metadata_document_supported")
        {
            report.skip(
                rule::REGISTRATION,
                "no registration_endpoint; clients bring metadata documents",
            );
        } else {
            report.warn(
                rule::REGISTRATION,
                "no registration_endpoint: a client needs a client_id from you",
            );
        }
        return;
    };
    if !probe.permits(url) {
        return;
    }
    let mut desk = Desk {
        probe,
        url,
        clients,
    };
    if desk.register_main(report).await {
        desk.try_redirects(report).await;
        desk.register_narrow(resource, report).await;
    }
}

/// What a client says of itself.
fn metadata(redirect_uri: &str) -> Map<String, Value> {
    let members = json!({
        "client_name": "portcullis doctor",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

impl Desk<'_> {
    async fn post(&self, members: Map<String, Value>, from_page: bool) -> Asked {
        let origin = [("origin", self.probe.origin.as_str())];
        let headers: &[(&str, &str)] = if from_page { &origin } else { &[] };
        self.probe
            .post_json(self.url, &Value::Object(members), headers)
            .await
    }

    /// Remembers a client that came about, so that it can be removed.
    fn keep(&mut self, asked: &Asked, report: &mut Report<'_>) -> Option<String> {
        let answer = asked
            .as_ref()
            .ok()
            .filter(|answer| answer.status.is_success())?;
        let members = answer.object()?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        for secret in [text("client_secret"), text("registration_access_token")]
            .iter()
            .flatten()
        {
            report.conceal(secret);
        }
        let id = text("client_id")?;
        let management = text("registration_client_uri")
            .filter(|uri| self.probe.permits(uri))
            .zip(text("registration_access_token"));
        let is_known = self.clients.made.iter().any(|client| client.id == id);
        if !is_known {
            self.clients.made.push(Registered {
                id: id.clone(),
                management,
            });
        }
        Some(id)
    }

    /// Registers as a web page with a member that nobody knows; where that is refused, one thing
    /// after the other, to learn which of them was too much. Whether clients get in at all.
    async fn register_main(&mut self, report: &mut Report<'_>) -> bool {
        let plain = || metadata(REDIRECT_URI);
        let odd = || {
            let mut members = plain();
            members.insert("portcullis_doctor".to_owned(), json!("is not known"));
            members
        };
        let everything = self.post(odd(), true).await;
        if let Some(id) = self.keep(&everything, report) {
            report.ok(rule::REGISTRATION, "open");
            self.judge_page(&everything, report);
            report.ok(rule::REGISTRATION_UNKNOWN, "ignored");
            judge_response(&everything, report);
            self.clients.main = Some(id);
            return true;
        }
        let simple = self.post(plain(), false).await;
        let Some(id) = self.keep(&simple, report) else {
            judge_closed(&simple, report);
            return false;
        };
        report.ok(rule::REGISTRATION, "open");
        judge_response(&simple, report);
        self.clients.main = Some(id);
        let page = self.post(plain(), true).await;
        self.keep(&page, report);
        self.judge_page(&page, report);
        let unknown = self.post(odd(), false).await;
        let holds = self.keep(&unknown, report).is_some();
        report.judge(
            rule::REGISTRATION_UNKNOWN,
            holds,
            Severity::Warning,
            summary(&unknown),
        );
        true
    }

    fn judge_page(&self, asked: &Asked, report: &mut Report<'_>) {
        let is_taken = asked
            .as_ref()
            .is_ok_and(|answer| answer.status.is_success());
        let holds = is_taken && cors::allows(self.probe, asked);
        let seen = format!("POST from {}: {}", self.probe.origin, summary(asked));
        report.judge(rule::CORS_REGISTRATION, holds, Severity::Warning, seen);
    }

    /// What must be refused, because a code would go where anybody can read it.
    async fn try_redirects(&mut self, report: &mut Report<'_>) {
        let http = format!("http://{STRANGER}/callback");
        let script = "javascript:alert(1)//callback";
        for (uri, rule) in [
            (http.as_str(), rule::REGISTRATION_HTTP),
            (script, rule::REGISTRATION_SCRIPT),
        ] {
            let asked = self.post(metadata(uri), false).await;
            let seen = format!("{uri}: {}", summary(&asked));
            match asked.as_ref().map(|answer| answer.status) {
                _ if self.keep(&asked, report).is_some() => report.error(rule, seen),
                Ok(StatusCode::TOO_MANY_REQUESTS) | Err(_) => report.skip(rule, seen),
                Ok(status) => report.judge(rule, status.is_client_error(), Severity::Warning, seen),
            }
        }
        let asked = self
            .post(metadata(&format!("https://{STRANGER}/*")), false)
            .await;
        self.clients.wildcard = self.keep(&asked, report);
        if self.clients.wildcard.is_none() {
            report.ok(rule::REGISTRATION_WILDCARD, summary(&asked));
        }
    }

    /// Registers with one scope, as clients do that take the first challenge at its word.
    async fn register_narrow(&mut self, resource: &Resource, report: &mut Report<'_>) {
        let [first, second, ..] = resource.scopes.as_slice() else {
            report.skip(
                rule::REGISTRATION_SCOPE,
                "the resource names fewer than two scopes",
            );
            return;
        };
        let mut members = metadata(REDIRECT_URI);
        members.insert("scope".to_owned(), json!(first));
        let asked = self.post(members, false).await;
        match self.keep(&asked, report) {
            Some(id) => self.clients.narrow = Some((id, second.clone())),
            None => {
                let seen = format!("registering with scope {first}: {}", summary(&asked));
                report.warn(rule::REGISTRATION_SCOPE, seen);
            }
        }
    }
}

/// Nobody gets in: on purpose, or by mistake?
fn judge_closed(asked: &Asked, report: &mut Report<'_>) {
    let seen = summary(asked);
    match asked.as_ref().map(|answer| answer.status) {
        Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => report.warn(
            rule::REGISTRATION,
            format!("announced, but refused without an initial access token: {seen}"),
        ),
        Ok(StatusCode::TOO_MANY_REQUESTS) => report.skip(rule::REGISTRATION, seen),
        _ => report.error(rule::REGISTRATION, format!("a proper registration: {seen}")),
    }
}

fn judge_response(asked: &Asked, report: &mut Report<'_>) {
    let Ok(answer) = asked else { return };
    let missing = faults_of(answer);
    report.judge_missing(
        rule::REGISTRATION_RESPONSE,
        &missing,
        Severity::Warning,
        "201, complete",
    );
}

fn faults_of(answer: &Answer) -> Vec<String> {
    let members = answer.object().unwrap_or_default();
    let mut faults = Vec::new();
    if answer.status != StatusCode::CREATED {
        faults.push(format!("{} instead of 201", answer.status.as_u16()));
    }
    if !answer.is_no_store() {
        faults.push("no Cache-Control: no-store".to_owned());
    }
    if members.get("redirect_uris") != Some(&json!([REDIRECT_URI])) {
        faults.push("redirect_uris are not those that were sent".to_owned());
    }
    let method = members
        .get("token_endpoint_auth_method")
        .and_then(Value::as_str);
    if method != Some("none") {
        faults.push(format!(
            "token_endpoint_auth_method is {}",
            method.unwrap_or("not there")
        ));
    }
    if members.contains_key("client_secret") {
        faults.push("a public client got a client_secret".to_owned());
    }
    faults
}

/// Removes the clients again, where that is offered (RFC 7592 §2.3).
pub(super) async fn clean_up(probe: &Probe, clients: &Clients, report: &mut Report<'_>) {
    let mut left = Vec::new();
    let mut failed = Vec::new();
    for client in &clients.made {
        let Some((uri, token)) = &client.management else {
            left.push(client.id.as_str());
            continue;
        };
        let asked = probe.delete(uri, token).await;
        if !asked
            .as_ref()
            .is_ok_and(|answer| answer.status.is_success())
        {
            failed.push(format!("{} stays: {}", client.id, summary(&asked)));
        }
    }
    if clients.made.is_empty() {
        return;
    }
    let fine = match left.len() {
        0 => "nothing stays".to_owned(),
        _ => format!(
            "no management is offered to public clients; these stay: {}",
            left.join(", ")
        ),
    };
    report.judge_missing(rule::REGISTRATION_CLEANUP, &failed, Severity::Warning, fine);
}
