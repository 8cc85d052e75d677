//! The token endpoint, and a token that a client gets with its credentials.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use portcullis_common::jwks::KeySet;
use portcullis_common::strict_json;
use serde_json::{Map, Value};

use super::Patient;
use super::challenge::first_request;
use super::claims::{self, Expected};
use super::counter::Counter;
use super::discovery::Server;
use super::probe::{Answer, Asked, Probe, summary};
use super::report::{Report, Severity};
use super::resource::Resource;
use super::rule;

/// What a token says, read and not verified.
pub(super) struct Jwt {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

impl Jwt {
    /// Reads a compact JWS; `None` for tokens of another kind.
    pub(super) fn read(token: &str) -> Option<Self> {
        let object = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
            strict_json::parse_object(&bytes).ok()
        };
        let mut parts = token.split('.');
        Some(Self {
            header: object(parts.next()?)?,
            claims: object(parts.next()?)?,
        })
    }
}

/// A code that nobody issued.
pub(super) async fn check_errors(
    probe: &Probe,
    server: &Server,
    client_id: &str,
    report: &mut Report<'_>,
) {
    let url = server
        .metadata
        .text("token_endpoint")
        .filter(|url| probe.permits(url));
    let Some(url) = url else { return };
    let form = [
        ("grant_type", "authorization_code"),
        ("code", "portcullis-doctor-no-such-code"),
        (
            "code_verifier",
            "portcullis-doctor-portcullis-doctor-portcullis-doctor",
        ),
        ("redirect_uri", super::registration::REDIRECT_URI),
        ("client_id", client_id),
    ];
    let asked = probe.post_form(url, &form, &[]).await;
    let holds = asked.as_ref().is_ok_and(|answer| {
        let is_refusal = matches!(
            answer.status,
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
        );
        is_refusal && !answer.error().is_empty()
    });
    report.judge(rule::TOKEN_ERRORS, holds, Severity::Error, summary(&asked));
}

async fn ask(counter: &Counter<'_>, resource: &str, scope: Option<&str>) -> Asked {
    let mut form = vec![("grant_type", "client_credentials"), ("resource", resource)];
    form.extend(scope.map(|scope| ("scope", scope)));
    counter.ask(&form).await
}

/// Gets a token and looks at all of it. Nothing of it is ever shown but its claims.
pub(super) async fn check(
    probe: &Probe,
    patient: &Patient,
    found: (&Server, &Resource),
    keys: Option<&KeySet>,
    report: &mut Report<'_>,
) {
    let (server, resource) = found;
    let client = patient.client.as_ref();
    let client = client.filter(|client| client.secret.is_some());
    let counter =
        client.and_then(|client| Counter::find(probe, server, &client.id, client.secret.as_ref()));
    let Some(counter) = counter else {
        let why = "name a client with --client-id and --client-secret-file to see a token";
        report.skip(rule::TOKEN_REQUEST, why);
        return;
    };
    let Some((answer, scope)) = request(&counter, patient, resource, report).await else {
        return;
    };
    let members = answer.object().unwrap_or_default();
    let Some(token) = members.get("access_token").and_then(Value::as_str) else {
        report.error(rule::TOKEN_REQUEST, "200 without an access_token");
        return;
    };
    report.conceal(token);
    report.ok(rule::TOKEN_REQUEST, "a token came");
    judge_response(&answer, &members, report);
    let expected = Expected {
        now: probe.clock.now(),
        issuer: server.issuer.as_str(),
        patient,
        scope: scope.as_deref(),
        keys,
    };
    match Jwt::read(token) {
        Some(jwt) => {
            claims::check(&jwt, token, &expected, report);
            if scope.is_some() && claims::audience(&jwt, patient).0 {
                judge_without_scope(&counter, patient, report).await;
            }
        }
        None => report.skip(
            rule::TOKEN_TYPE,
            "the token is no JWT; only its resource can read it",
        ),
    }
    judge_unknown_resource(&counter, patient, report).await;
    if let Some(session) = enter(probe, patient, token, report).await {
        leave(probe, patient, token, &session).await;
    }
}

/// Asks for the scopes of the challenge, and where the client may not have them, for none.
async fn request(
    counter: &Counter<'_>,
    patient: &Patient,
    resource: &Resource,
    report: &mut Report<'_>,
) -> Option<(Answer, Option<String>)> {
    let scope = Some(resource.first_scopes.clone()).filter(|scope| !scope.is_empty());
    let mut asked = ask(counter, &patient.text, scope.as_deref()).await;
    let mut wanted = scope;
    if asked
        .as_ref()
        .is_ok_and(|answer| answer.error() == "invalid_scope")
    {
        wanted = None;
        let why = format!("the client may not ask for {}", resource.first_scopes);
        report.warn(rule::TOKEN_SCOPE, why);
        asked = ask(counter, &patient.text, None).await;
    }
    match asked {
        Ok(answer) if answer.status == StatusCode::OK => Some((answer, wanted)),
        other => {
            report.error(rule::TOKEN_REQUEST, summary(&other));
            None
        }
    }
}

pub(super) fn judge_response(
    answer: &Answer,
    members: &Map<String, Value>,
    report: &mut Report<'_>,
) {
    let mut faults = Vec::new();
    let kind = members
        .get("token_type")
        .and_then(Value::as_str)
        .unwrap_or("not there");
    if !kind.eq_ignore_ascii_case("bearer") {
        faults.push(format!("token_type is {kind}"));
    }
    if members.get("expires_in").and_then(Value::as_u64).is_none() {
        faults.push("expires_in is not there".to_owned());
    }
    if !answer.is_no_store() {
        faults.push("no Cache-Control: no-store".to_owned());
    }
    report.judge_missing(rule::TOKEN_RESPONSE, &faults, Severity::Warning, "complete");
}

/// The audience must not hang on a scope that some clients do not ask for.
async fn judge_without_scope(counter: &Counter<'_>, patient: &Patient, report: &mut Report<'_>) {
    let Ok(answer) = ask(counter, &patient.text, None).await else {
        return;
    };
    let members = answer.object().unwrap_or_default();
    let Some(token) = members.get("access_token").and_then(Value::as_str) else {
        return;
    };
    report.conceal(token);
    if let Some((false, seen)) = Jwt::read(token).map(|jwt| claims::audience(&jwt, patient)) {
        let seen = format!("in a token that was asked for without a scope, {seen}");
        report.error(rule::TOKEN_AUDIENCE, seen);
    }
}

/// RFC 8707 §2: whoever asks for what is not there is told.
async fn judge_unknown_resource(counter: &Counter<'_>, patient: &Patient, report: &mut Report<'_>) {
    let origin = patient.url.origin().ascii_serialization();
    let unknown = format!("{origin}/portcullis-doctor-no-such-resource");
    let asked = ask(counter, &unknown, None).await;
    let holds = asked
        .as_ref()
        .is_ok_and(|answer| answer.status.is_client_error());
    let seen = format!("for {unknown}: {}", summary(&asked));
    report.judge(rule::TOKEN_UNKNOWN_RESOURCE, holds, Severity::Warning, seen);
}

/// The proof of the pudding: the resource lets the token in, whatever it then says of the request.
/// `None` where it does not.
pub(super) async fn enter(
    probe: &Probe,
    patient: &Patient,
    token: &str,
    report: &mut Report<'_>,
) -> Option<Session> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let asked = probe
        .post_json(&patient.text, &first_request(), &headers)
        .await;
    let holds = asked.as_ref().is_ok_and(|answer| {
        answer.status != StatusCode::UNAUTHORIZED && !answer.status.is_server_error()
    });
    report.judge(
        rule::TOKEN_ACCEPTED,
        holds,
        Severity::Error,
        summary(&asked),
    );
    let session = asked.as_ref().ok()?.header("mcp-session-id");
    holds.then(|| Session(session.map(str::to_owned)))
}

/// What began when a token was let in; servers without sessions name none.
pub(super) struct Session(pub(super) Option<String>);

/// Ends the session, if there is one.
pub(super) async fn leave(probe: &Probe, patient: &Patient, token: &str, session: &Session) {
    if let Some(session) = &session.0 {
        // Whether the server forgets the session is its own affair.
        let _ended = probe.end_session(&patient.text, token, session).await;
    }
}
