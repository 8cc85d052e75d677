//! The registration endpoint (RFC 7591 §3) and the one where clients manage what they registered
//! (RFC 7592 §2).

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use portcullis_common::audit::{Actor, Draft, Event};
use serde_json::Value;

use super::metadata::REGISTER;
use crate::clients::registration::{
    self, ClientInformation, InitialAccessToken, RegistrationAccessToken, RegistrationError,
};
use crate::error::OAuthError;
use crate::state::AppState;

/// Largest body, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// An id that cannot be read is one that nobody has.
type ClientIdInPath = Result<Path<String>, PathRejection>;

/// Registers a client. The order is: body, invitation, metadata, limits, store.
pub(crate) async fn post(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, OAuthError> {
    let (head, body) = request.into_parts();
    let source = super::source(&head.extensions).0;
    let invitation = bearer(&head.headers).map(InitialAccessToken::new);
    let body = read_body(body).await?;
    state.recordable()?;
    let record = state.draft(Event::ClientRegistered);
    let mut record = record.of_request(&head.extensions);
    let result = registration::register(&state, &body, invitation, source).await;
    let information = noted(result, &mut record)?;
    record.target(information.client_id.as_str()).succeed();
    Ok(render(&state, StatusCode::CREATED, &information))
}

/// Shows a client its registration.
pub(crate) async fn show(
    State(state): State<AppState>,
    client_id: ClientIdInPath,
    headers: HeaderMap,
) -> Result<Response, OAuthError> {
    let token = bearer(&headers).map(RegistrationAccessToken::new);
    let information = registration::read(&state, text(&client_id), token).await?;
    Ok(render(&state, StatusCode::OK, &information))
}

/// Replaces the metadata of a client.
pub(crate) async fn put(
    State(state): State<AppState>,
    client_id: ClientIdInPath,
    request: Request,
) -> Result<Response, OAuthError> {
    let (head, body) = request.into_parts();
    let token = bearer(&head.headers).map(RegistrationAccessToken::new);
    let body = read_body(body).await?;
    state.recordable()?;
    let record = state.draft(Event::ClientChanged);
    let mut record = record.of_request(&head.extensions);
    let result = registration::replace(&state, text(&client_id), token, &body).await;
    let information = noted(result, &mut record)?;
    let id = information.client_id.as_str();
    record.actor(Actor::Client).client(id).target(id).succeed();
    Ok(render(&state, StatusCode::OK, &information))
}

/// Removes a client.
pub(crate) async fn delete(
    State(state): State<AppState>,
    client_id: ClientIdInPath,
    request: Request,
) -> Result<Response, OAuthError> {
    let token = bearer(request.headers()).map(RegistrationAccessToken::new);
    state.recordable()?;
    let record = state.draft(Event::ClientRemoved);
    let mut record = record.of_request(request.extensions());
    let id = text(&client_id);
    let result = registration::remove(&state, id, token).await;
    noted(result, &mut record)?;
    record.actor(Actor::Client).client(id).target(id).succeed();
    let no_store = HeaderValue::from_static("no-store");
    Ok((StatusCode::NO_CONTENT, [(CACHE_CONTROL, no_store)]).into_response())
}

/// The same result, and in the record why it is none. Ids that nobody proved stay out of it.
fn noted<T>(result: Result<T, RegistrationError>, record: &mut Draft) -> Result<T, OAuthError> {
    result.map_err(|error| OAuthError::from(error).noted_in(record))
}

fn text(client_id: &ClientIdInPath) -> &str {
    match client_id {
        Ok(Path(client_id)) => client_id,
        Err(_) => "",
    }
}

/// Whatever the content type says, the body must be JSON: nothing here acts on credentials that a
/// browser adds by itself, so a form from another page gains nothing.
async fn read_body(body: Body) -> Result<Bytes, RegistrationError> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(RegistrationError::TooLarge),
        Err(_) => Err(RegistrationError::Interrupted),
    }
}

/// The one bearer token of the request (RFC 6750 §2.1). Anything else in the header, or two of them,
/// is a token that nobody has.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let first = lines.next()?;
    let token = first
        .to_str()
        .ok()
        .filter(|_| lines.next().is_none())
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned());
    Some(token.unwrap_or_default())
}

fn render(state: &AppState, status: StatusCode, information: &ClientInformation) -> Response {
    let path = format!("{REGISTER}/{}", information.client_id);
    let management_uri = state.config().authz.issuer.endpoint(&path);
    let members = information.to_members(&management_uri);
    let mut response = (status, Value::Object(members).to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // RFC 7591 §3.2.1: no cache may keep a secret.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
