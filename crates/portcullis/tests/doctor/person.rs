//! What the model does with a person: a login without questions, codes, refresh tokens.

use std::collections::BTreeMap;

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use serde_json::json;

use crate::endpoints::{answer, refusal};
use crate::model::{Asked, Habit, Model, with_query};

/// The one code.
pub(crate) const CODE: &str = "c0de-of-ada-8f2Kq";
/// What refresh tokens begin with; their number follows.
pub(crate) const REFRESH: &str = "refresh-of-ada-";

/// A login, and what came of it.
pub(crate) struct Visit {
    asked: BTreeMap<String, String>,
    is_redeemed: bool,
    refreshed: u32,
}

/// Everybody who comes is logged in, and sent back.
pub(crate) fn log_in(model: &Model, asked: &Asked) -> Response {
    let issuer = model.issuer();
    let first = match model.has(Habit::LoginDenied) {
        true => ("error", "access_denied"),
        false => ("code", CODE),
    };
    let mut parameters = vec![first];
    if !model.has(Habit::LoginWithoutState) {
        parameters.push(("state", asked.value("state")));
    }
    if model.has(Habit::LoginWithWrongIss) {
        parameters.push(("iss", "https://other.example"));
    } else if !model.has(Habit::LoginWithoutIss) {
        parameters.push(("iss", &issuer));
    }
    *model.visit.lock().unwrap() = Some(Visit {
        asked: asked.form.clone(),
        is_redeemed: false,
        refreshed: 0,
    });
    let place = with_query(asked.value("redirect_uri"), &parameters);
    (StatusCode::FOUND, [(header::LOCATION, place)]).into_response()
}

/// Codes and refresh tokens at the token endpoint.
pub(crate) fn token(model: &Model, asked: &Asked) -> Response {
    let mut visit = model.visit.lock().unwrap();
    let Some(visit) = visit.as_mut() else {
        return refusal(400, "invalid_grant");
    };
    match asked.value("grant_type") {
        "refresh_token" => refresh(model, asked, visit),
        _ => redeem(model, asked, visit),
    }
}

fn redeem(model: &Model, asked: &Asked, visit: &mut Visit) -> Response {
    let verifier = PkceCodeVerifier::new(asked.value("code_verifier").to_owned());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    let is_same = |name: &str| visit.asked[name] == asked.value(name);
    let is_right = visit.asked["code_challenge"] == challenge.as_str()
        && ["client_id", "redirect_uri", "resource"]
            .into_iter()
            .all(is_same);
    if !is_right {
        return refusal(400, "invalid_grant");
    }
    if model.has(Habit::CodeRefused) {
        return refusal(400, "not_allowed");
    }
    if visit.is_redeemed && model.has(Habit::CodeBreaksServer) {
        return refusal(500, "server_error");
    }
    if visit.is_redeemed && !model.has(Habit::CodeWorksTwice) {
        return refusal(400, "invalid_grant");
    }
    visit.is_redeemed = true;
    tokens(model, visit, 0)
}

fn refresh(model: &Model, asked: &Asked, visit: &mut Visit) -> Response {
    if model.has(Habit::RefreshRefused) {
        return refusal(400, "unauthorized_client");
    }
    if model.has(Habit::RefreshStays) {
        return tokens(model, visit, visit.refreshed);
    }
    let number = asked.value("refresh_token").strip_prefix(REFRESH);
    let number: u32 = number.unwrap().parse().unwrap();
    let is_last = number + 1 == visit.refreshed;
    if is_last && model.has(Habit::RefreshRepeats) {
        return tokens(model, visit, visit.refreshed);
    }
    if number != visit.refreshed && !model.has(Habit::RefreshForks) {
        return refusal(400, "invalid_grant");
    }
    visit.refreshed += 1;
    tokens(model, visit, visit.refreshed)
}

fn tokens(model: &Model, visit: &Visit, number: u32) -> Response {
    let mut body = model.token_answer.clone();
    body["access_token"] = json!(model.issued_to_person());
    body["scope"] = json!(visit.asked["scope"]);
    if !model.has(Habit::NoRefreshToken) {
        body["refresh_token"] = json!(format!("{REFRESH}{number}"));
    }
    answer(200, &body)
}

/// `/mcp`, with a person's token.
pub(crate) fn mcp(model: &Model, asked: &Asked) -> Response {
    if model.has(Habit::PersonNotAccepted) {
        return model.garbage.answer();
    }
    let lists = asked.body["method"] == "tools/list";
    if lists && model.has(Habit::ToolsForbidden) {
        return refusal(403, "insufficient_scope");
    }
    let result = match lists && !model.has(Habit::ToolsNotListed) {
        true => json!({ "tools": [] }),
        false => json!({}),
    };
    answer(
        200,
        &json!({ "jsonrpc": "2.0", "id": asked.body["id"], "result": result }),
    )
}
