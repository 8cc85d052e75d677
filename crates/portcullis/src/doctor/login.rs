//! What only a login shows: the answer to the client, the code, the token of a person, and refresh
//! tokens (OAuth 2.1 §4.1 and §4.3). A person logs in with a browser; the doctor is the client.

use std::time::Duration;

use http::StatusCode;
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use portcullis_common::entropy::random_text;
use portcullis_common::jwks::KeySet;
use serde_json::Value;

use super::Patient;
use super::authorize::{self, AuthorizationRequest, Requester};
use super::callback::Callback;
use super::counter::Counter;
use super::discovery::Server;
use super::person::{self, Person};
use super::probe::{Answer, Asked, Probe, summary};
use super::refresh;
use super::registration::Clients;
use super::report::{Report, Severity};
use super::resource::Resource;
use super::rule;
use super::token;

/// How a person is asked to log in.
pub(crate) struct Login {
    /// Longest wait for the browser.
    pub(crate) wait: Duration,
    /// Shows the URL that is to be opened.
    pub(crate) show: Box<dyn Fn(&str) + Send + Sync>,
}

/// What a token answer holds.
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: Option<String>,
    pub(super) scope: Option<String>,
}

impl Tokens {
    /// Reads an answer; `None` if there is no token in it. What is read is never shown.
    pub(super) fn read(asked: &Asked, report: &mut Report<'_>) -> Option<Self> {
        let answer = asked.as_ref().ok()?;
        let members = answer.object().unwrap_or_default();
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        for secret in [&access, &refresh].into_iter().flatten() {
            report.conceal(secret);
        }
        access
            .filter(|_| answer.status == StatusCode::OK)
            .map(|access| Self {
                access,
                refresh,
                scope: text("scope"),
            })
    }
}

/// One login at one server.
struct Stay<'a> {
    probe: &'a Probe,
    patient: &'a Patient,
    server: &'a Server,
    counter: Counter<'a>,
}

/// What came back, with what it takes to redeem it.
struct Code {
    text: String,
    verifier: PkceCodeVerifier,
    request: AuthorizationRequest,
}

/// Has a person log in, and looks at everything that follows.
pub(super) async fn check(
    probe: &Probe,
    patient: &Patient,
    found: (&Server, &Resource),
    clients: &Clients,
    keys: Option<&KeySet>,
    report: &mut Report<'_>,
) {
    let Some(login) = &patient.login else { return };
    let (server, resource) = found;
    let Some(requester) = Requester::choose(patient, clients) else {
        return;
    };
    let known = patient.client.as_ref();
    let secret = known
        .filter(|client| client.id == requester.id)
        .and_then(|client| client.secret.as_ref());
    let Some(counter) = Counter::find(probe, server, &requester.id, secret) else {
        return;
    };
    let stay = Stay {
        probe,
        patient,
        server,
        counter,
    };
    let Some(code) = stay.ask(login, resource, &requester, report).await else {
        return;
    };
    report.skip(
        rule::LOGIN_CONSENT,
        "only whoever logged in saw whether a page asked",
    );
    let asked = stay.redeem(&code).await;
    let Some(tokens) = Tokens::read(&asked, report) else {
        report.error(rule::CODE_REDEEMED, summary(&asked));
        return;
    };
    report.ok(rule::CODE_REDEEMED, "a token came");
    if let Ok(answer) = &asked {
        stay.judge_person(answer, &tokens, &code, keys, report)
            .await;
    }
    let left = refresh::check(&stay.counter, patient, tokens.refresh, report).await;
    // Where a code that comes twice ends its tokens, as OAuth 2.1 §4.1.3 wants, this is the end.
    stay.judge_second_use(&code, report).await;
    stay.log_out(left.as_deref().unwrap_or(&tokens.access))
        .await;
}

impl Stay<'_> {
    /// Sends the person on the way and waits for the answer.
    async fn ask(
        &self,
        login: &Login,
        resource: &Resource,
        requester: &Requester,
        report: &mut Report<'_>,
    ) -> Option<Code> {
        let callback = match Callback::open(&requester.redirect_uri).await {
            Ok(callback) => callback,
            Err(why) => {
                report.skip(rule::LOGIN_CALLBACK, why);
                return None;
            }
        };
        let endpoint = authorize::endpoint(self.probe, self.server)?;
        let verifier = PkceCodeVerifier::new(random_text::<32>(&*self.probe.entropy).ok()?);
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let mut request = authorize::proper(self.probe, self.patient, resource, requester)?
            .with("redirect_uri", callback.redirect_uri())
            .with("code_challenge", challenge.as_str());
        let scopes = &resource.first_scopes;
        if !scopes.is_empty() && self.knows_offline_access() {
            request = request.with("scope", format!("{scopes} offline_access"));
        }
        (login.show)(&request.url(endpoint));
        let Some(parameters) = callback.wait(login.wait).await else {
            let seen = format!("nobody came back within {} s", login.wait.as_secs());
            report.error(rule::LOGIN_CALLBACK, seen);
            return None;
        };
        let text = self.judge_answer(&parameters, &request, report)?;
        Some(Code {
            text,
            verifier,
            request,
        })
    }

    /// MCP 2026-07-28 authorization, refresh tokens: clients add the scope where it is known.
    fn knows_offline_access(&self) -> bool {
        let known = self.server.metadata.list("scopes_supported");
        known.is_some_and(|list| list.contains(&"offline_access"))
    }

    /// The code, if the answer is one that a careful client takes.
    fn judge_answer(
        &self,
        parameters: &[(String, String)],
        request: &AuthorizationRequest,
        report: &mut Report<'_>,
    ) -> Option<String> {
        let value = |name: &str| {
            let found = parameters.iter().find(|(own, _)| own == name);
            found.map(|(_, value)| value.as_str())
        };
        let Some(code) = value("code") else {
            let error = value("error").unwrap_or_default();
            let text = value("error_description").unwrap_or_default();
            let seen = format!("sent back with error={error}: {text}");
            report.error(rule::LOGIN_CALLBACK, seen);
            return None;
        };
        report.conceal(code);
        report.ok(rule::LOGIN_CALLBACK, "a code came");
        let holds = value("state") == Some(request.find("state"));
        let seen = if holds {
            "unchanged"
        } else {
            "changed or lost"
        };
        report.judge(rule::LOGIN_STATE, holds, Severity::Error, seen);
        let is_theirs = self.judge_iss(value("iss"), report);
        (holds && is_theirs).then(|| code.to_owned())
    }

    /// RFC 9207 §2.4: what another server answered, or might have, is not used.
    fn judge_iss(&self, iss: Option<&str>, report: &mut Report<'_>) -> bool {
        let flag = "authorization_response_iss_parameter_supported";
        let issuer = self.server.issuer.as_str();
        let is_announced = self.server.metadata.is_true(flag);
        match iss {
            None if !is_announced => report.skip(rule::LOGIN_ISS, "neither announced nor there"),
            None => report.error(rule::LOGIN_ISS, "announced, and not there"),
            Some(iss) => {
                let seen = format!("\"{iss}\", the issuer is \"{issuer}\"");
                report.judge(rule::LOGIN_ISS, iss == issuer, Severity::Error, seen);
            }
        }
        iss.map_or(!is_announced, |iss| iss == issuer)
    }

    async fn redeem(&self, code: &Code) -> Asked {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.text.as_str()),
            ("code_verifier", code.verifier.secret().as_str()),
            ("redirect_uri", code.request.find("redirect_uri")),
            ("resource", self.patient.text.as_str()),
        ];
        self.counter.ask(&form).await
    }

    /// What is said of the person's token says so.
    async fn judge_person(
        &self,
        answer: &Answer,
        tokens: &Tokens,
        code: &Code,
        keys: Option<&KeySet>,
        report: &mut Report<'_>,
    ) {
        report.speak_of("a person's token: ");
        let members = answer.object().unwrap_or_default();
        token::judge_response(answer, &members, report);
        let person = Person {
            now: self.probe.clock.now(),
            issuer: self.server.issuer.as_str(),
            client_id: code.request.find("client_id"),
            asked: code.request.find("scope"),
            keys,
        };
        person::check_claims(self.patient, &person, tokens, report);
        person::check_acceptance(self.probe, self.patient, &tokens.access, report).await;
        report.speak_of("");
    }

    async fn judge_second_use(&self, code: &Code, report: &mut Report<'_>) {
        let asked = self.redeem(code).await;
        match Tokens::read(&asked, report) {
            Some(_) => report.error(rule::CODE_ONCE, "a token came once more"),
            None => refresh::judge_refusal(rule::CODE_ONCE, &asked, report),
        }
    }

    /// Leaves nothing behind where tokens can be given back (RFC 7009).
    async fn log_out(&self, token: &str) {
        let url = self.server.metadata.text("revocation_endpoint");
        if let Some(url) = url.filter(|url| self.probe.permits(url)) {
            // By then the tokens may be gone already.
            let _ended = self.counter.ask_at(url, &[("token", token)]).await;
        }
    }
}
