//! The endpoints of the model: right by themselves, wrong by habit.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::model::{Asked, CLIENT, Habit, Model, with_query};
use crate::person;

pub(crate) fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (status, headers, body.to_string()).into_response()
}

pub(crate) fn refusal(status: u16, error: &str) -> Response {
    answer(status, &json!({ "error": error }))
}

/// Without the header that lets pages read it.
fn for_nobody(mut response: Response) -> Response {
    response
        .headers_mut()
        .remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    response
}

pub(crate) fn preflight(model: &Model) -> Response {
    let response = answer(200, &json!({}));
    if model.has(Habit::PreflightForNobody) {
        return for_nobody(response);
    }
    response
}

/// `/mcp` knows its own token, and lets it in.
pub(crate) fn mcp(model: &Model, asked: &Asked) -> Response {
    let Some(sent) = asked.headers.get(header::AUTHORIZATION) else {
        return model.post.answer();
    };
    let sent = sent.to_str().unwrap().strip_prefix("Bearer ");
    if sent == Some(model.issued_to_person()) {
        return person::mcp(model, asked);
    }
    if sent != Some(model.issued()) || model.has(Habit::TokenNotAccepted) {
        return model.garbage.answer();
    }
    answer(200, &json!({ "jsonrpc": "2.0", "id": 1, "result": {} }))
}

pub(crate) fn token(model: &Model, asked: &Asked) -> Response {
    if model.has(Habit::TokenOriginRefused) && asked.comes_from_page() {
        return for_nobody(refusal(403, "invalid_request"));
    }
    if asked.value("code") == person::CODE || asked.value("grant_type") == "refresh_token" {
        return person::token(model, asked);
    }
    if asked.value("grant_type") != "client_credentials" {
        return match model.has(Habit::TokenErrorsBroken) {
            true => refusal(500, "server_error"),
            false => refusal(400, "invalid_grant"),
        };
    }
    if model.has(Habit::TokensBroken) {
        return refusal(500, "server_error");
    }
    let pair = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("{}:{}", CLIENT.0, CLIENT.1),
    );
    let sent = asked.headers.get(header::AUTHORIZATION);
    if sent.is_none_or(|sent| sent != &format!("Basic {pair}")) {
        return refusal(401, "invalid_client");
    }
    let is_known = asked.value("resource") == format!("{}/mcp", model.base);
    if !is_known && !model.has(Habit::ResourceIgnored) {
        return refusal(400, "invalid_target");
    }
    let asks_for_scopes = !asked.value("scope").is_empty();
    if model.has(Habit::ScopesNotForClient) && asks_for_scopes {
        return refusal(400, "invalid_scope");
    }
    let mut body = model.token_answer.clone();
    body["access_token"] = json!(
        match model.has(Habit::AudienceByScope) && !asks_for_scopes {
            // {"alg":"ES256"} and {}
            true => "eyJhbGciOiJFUzI1NiJ9.e30.AA",
            false => model.issued(),
        }
    );
    let mut response = answer(200, &body);
    if model.is_token_cached {
        response.headers_mut().remove(header::CACHE_CONTROL);
    }
    response
}

pub(crate) fn register(model: &Model, asked: &Asked) -> Response {
    if model.has(Habit::RegistrationBroken) {
        return refusal(500, "server_error");
    }
    if model.has(Habit::RegistrationRefusesAll) {
        return refusal(400, "invalid_client_metadata");
    }
    if model.has(Habit::RegistrationTrustsHosts) {
        return refusal(403, "insufficient_scope");
    }
    if model.has(Habit::RegistrationOriginRefused) && asked.comes_from_page() {
        return for_nobody(refusal(403, "invalid_request"));
    }
    let sent = &asked.body;
    if model.has(Habit::UnknownMembersRefused) && sent.get("portcullis_doctor").is_some() {
        return refusal(400, "invalid_client_metadata");
    }
    if model.has(Habit::ScopesRefused) && sent.get("scope").is_some() {
        return refusal(403, "insufficient_scope");
    }
    let redirect_uri = sent["redirect_uris"][0].as_str().unwrap();
    let is_fine = match redirect_uri.split(':').next().unwrap() {
        "https" => !redirect_uri.contains('*') || model.has(Habit::WildcardsMatch),
        "http" => {
            redirect_uri.starts_with("http://127.0.0.1") || model.has(Habit::HttpRedirectsTaken)
        }
        _ => model.has(Habit::ScriptRedirectsTaken),
    };
    if !is_fine {
        return refusal(400, "invalid_redirect_uri");
    }
    let mut clients = model.registered.lock().unwrap();
    let id = format!("client-{}", clients.len() + 1);
    let mut client = sent.clone();
    client["client_id"] = json!(id);
    client["registration_client_uri"] = json!(format!("{}/register/{id}", model.issuer()));
    client["registration_access_token"] = json!("registration-secret");
    if model.has(Habit::RegistrationGivesSecrets) {
        client["client_secret"] = json!("unasked");
    }
    clients.push(client.clone());
    let status = if model.has(Habit::RegistrationSays200) {
        200
    } else {
        201
    };
    let mut response = answer(status, &client);
    if model.has(Habit::RegistrationIsCached) {
        response.headers_mut().remove(header::CACHE_CONTROL);
    }
    response
}

pub(crate) fn remove(model: &Model, asked: &Asked) -> Response {
    let sent = asked.headers.get(header::AUTHORIZATION);
    let is_right = sent.is_some_and(|sent| sent == "Bearer registration-secret");
    if !is_right || model.has(Habit::ClientsStay) {
        return refusal(403, "insufficient_scope");
    }
    let mut clients = model.registered.lock().unwrap();
    clients.retain(|client| {
        !asked
            .path
            .ends_with(&format!("/{}", client["client_id"].as_str().unwrap()))
    });
    StatusCode::NO_CONTENT.into_response()
}

pub(crate) fn authorize(model: &Model, asked: &Asked) -> Response {
    let mut response = judge(model, asked);
    if model.has(Habit::AuthorizeForPages) {
        let everybody = HeaderValue::from_static("*");
        response
            .headers_mut()
            .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, everybody);
    }
    response
}

fn judge(model: &Model, asked: &Asked) -> Response {
    let redirect_uri = asked.value("redirect_uri");
    let clients = model.registered.lock().unwrap();
    let client = clients
        .iter()
        .find(|client| client["client_id"] == asked.value("client_id"));
    let Some(client) = client else {
        return match model.has(Habit::RedirectsForAnybody) && !redirect_uri.is_empty() {
            true => back(model, asked, "unauthorized_client"),
            false => (StatusCode::BAD_REQUEST, "who?").into_response(),
        };
    };
    if !matches(
        model,
        client["redirect_uris"][0].as_str().unwrap(),
        redirect_uri,
    ) {
        return (StatusCode::BAD_REQUEST, "where?").into_response();
    }
    if model.has(Habit::EveryRequestRefused) {
        return back(model, asked, "invalid_scope");
    }
    if asked.value("response_type") != "code" && !model.has(Habit::ImplicitTaken) {
        return back(model, asked, "unsupported_response_type");
    }
    if asked.value("code_challenge").is_empty() && !model.has(Habit::NoChallengeNeeded) {
        return back(model, asked, "invalid_request");
    }
    if asked.value("code_challenge_method") == "plain" && !model.has(Habit::PlainTaken) {
        return back(model, asked, "invalid_request");
    }
    let is_bound = client
        .get("scope")
        .is_some_and(|scope| scope != asked.value("scope"));
    if is_bound && model.has(Habit::ScopesBind) {
        return back(model, asked, "invalid_scope");
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&asked.form)
        .finish();
    let place = format!("/as/login?{query}");
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

fn matches(model: &Model, registered: &str, sent: &str) -> bool {
    if let Some(start) = registered.strip_suffix('*') {
        return sent.starts_with(start);
    }
    let (mut own, mut other) = (Url::parse(registered).unwrap(), Url::parse(sent).unwrap());
    if !model.has(Habit::OnePort) && own.scheme() == "http" {
        own.set_port(None).unwrap();
        other.set_port(None).unwrap();
    }
    if model.has(Habit::AnyPath) {
        own.set_path("");
        other.set_path("");
    }
    own == other
}

/// The error, back at the client.
fn back(model: &Model, asked: &Asked, error: &str) -> Response {
    let issuer = model.issuer();
    let mut parameters = vec![("error", error)];
    if !model.has(Habit::NoState) {
        parameters.push(("state", asked.value("state")));
    }
    if model.has(Habit::WrongIss) {
        parameters.push(("iss", "https://other.example"));
    } else if !model.has(Habit::NoIss) {
        parameters.push(("iss", &issuer));
    }
    let place = with_query(asked.value("redirect_uri"), &parameters);
    (StatusCode::FOUND, [(header::LOCATION, place)]).into_response()
}
