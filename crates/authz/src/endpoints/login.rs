//! The login page.

use std::time::Duration;

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use portcullis_common::audit::Event;

use super::form::{self, Form};
use super::human::{self, Cookies, ForgeryError, FormBinding, VisitorId};
use super::metadata::{CONSENT, LOGIN};
use crate::accounts::login::{Attempt, LoginError, log_in};
use crate::accounts::session::{RequestHandle, Session, SessionId};
use crate::grants::consent::{WaitingAuthorization, WaitingError};
use crate::page_error::PageError;
use crate::pages::{self, AccountPage, LoginPage};
use crate::state::AppState;

/// Shows the form, or that nothing is to be done.
pub(crate) async fn get(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, PageError> {
    let (head, _) = request.into_parts();
    let source = super::source(&head.extensions);
    let form = Form::parse(head.uri.query().unwrap_or_default().as_bytes())?;
    let cookies = Cookies::of(&head.headers, state.config());
    let session = cookies.find_session(&state).await?;
    let waiting = find_waiting(&state, form.find("request"), source.0).await?;
    match (&waiting, &session) {
        (Some(waiting), Some(_)) if waiting.accepted_session(session.as_ref()).is_some() => {
            let handle = waiting.handle().expose();
            Ok(human::see_own(&state, CONSENT, Some(handle)))
        }
        (None, Some(session)) => Ok(logged_in(&state, &cookies, session)),
        _ => {
            let hint = waiting
                .as_ref()
                .and_then(|waiting| waiting.request().login_hint());
            let shown = Shown {
                waiting: waiting.as_ref(),
                username: hint.unwrap_or_default(),
                problem: None,
            };
            show(&state, cookies.visitor, StatusCode::OK, &shown)
        }
    }
}

/// Takes name and password.
pub(crate) async fn post(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, PageError> {
    let (head, body) = request.into_parts();
    let source = super::source(&head.extensions);
    // LOGIN is a target of forgery too: whoever is logged in as somebody else works for them.
    human::verify_same_origin(&head.headers, state.config())?;
    let body = form::read_body(&head, body).await?;
    let form = Form::parse(&body)?;
    let cookies = Cookies::of(&head.headers, state.config());
    let handle = form.find("request");
    let visitor = cookies.visitor.ok_or(ForgeryError::NoCookie)?;
    binding(&visitor, handle).verify(form.find("csrf"))?;
    let waiting = find_waiting(&state, handle, source.0).await?;
    let attempt = Attempt {
        username: form.find("username").unwrap_or_default(),
        password: form.find("password").unwrap_or_default(),
        source,
        replaces: cookies.session.as_ref().map(SessionId::hash),
    };
    let shown = |problem| Shown {
        waiting: waiting.as_ref(),
        username: "",
        problem: Some(problem),
    };
    // Nobody guesses passwords without a trace.
    state.recordable()?;
    let mut record = state.draft(Event::Login).of_request(&head.extensions);
    let result = log_in(&state, &attempt, &mut record).await;
    drop(record);
    match result {
        Ok(id) => {
            let path = if waiting.is_some() { CONSENT } else { LOGIN };
            let mut response = human::see_own(&state, path, handle);
            human::set_session(&mut response, state.config(), &id);
            Ok(response)
        }
        // RFC 9110 §15.5.4: the credentials do not suffice.
        Err(LoginError::Wrong) => {
            let problem =
                "That name and password do not belong together. Check both, and try again.";
            show(
                &state,
                Some(visitor),
                StatusCode::FORBIDDEN,
                &shown(problem),
            )
        }
        Err(LoginError::Locked(locked)) => {
            let problem = format!(
                "Too many attempts for this account from here. Wait {}, and try again.",
                in_words(locked.retry_after)
            );
            let shown = shown(&problem);
            let mut response = show(&state, Some(visitor), StatusCode::TOO_MANY_REQUESTS, &shown)?;
            let seconds = HeaderValue::from(locked.retry_after.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
            Ok(response)
        }
        Err(LoginError::LimiterAway(error)) => Err(error.into()),
        Err(LoginError::Pool(error)) => Err(error.into()),
        Err(LoginError::Store(error)) => Err(error.into()),
        Err(LoginError::Entropy(error)) => Err(error.into()),
    }
}

/// The request of a handle; a handle that leads nowhere is an error, and no handle is none.
async fn find_waiting(
    state: &AppState,
    handle: Option<&str>,
    source: IpAddr,
) -> Result<Option<WaitingAuthorization>, WaitingError> {
    match handle {
        Some(handle) => {
            let handle = RequestHandle::new(handle);
            WaitingAuthorization::find(state, handle, source)
                .await
                .map(Some)
        }
        None => Ok(None),
    }
}

fn binding<'a>(visitor: &'a VisitorId, handle: Option<&'a str>) -> FormBinding<'a> {
    FormBinding {
        form: "login",
        secret: visitor.expose(),
        handle: handle.unwrap_or_default(),
    }
}

/// What the form says beside its fields.
struct Shown<'a> {
    waiting: Option<&'a WaitingAuthorization>,
    username: &'a str,
    problem: Option<&'a str>,
}

fn show(
    state: &AppState,
    visitor: Option<VisitorId>,
    status: StatusCode,
    shown: &Shown<'_>,
) -> Result<Response, PageError> {
    let is_new = visitor.is_none();
    let visitor = match visitor {
        Some(visitor) => visitor,
        None => VisitorId::generate(state.entropy())?,
    };
    let handle = shown.waiting.map(|waiting| waiting.handle().expose());
    let request = shown.waiting.map(WaitingAuthorization::request);
    let body = pages::print(&LoginPage {
        base: &state.config().authz.issuer.path(),
        csrf: &binding(&visitor, handle).token(),
        handle,
        client: request.map(|request| request.client().name.as_str()),
        username: shown.username,
        problem: shown.problem,
    });
    // After the login an answer may go straight to the client, if the person allowed it before.
    let leads_to = request.map(|request| request.redirect_uri().form_action_source());
    let mut response = human::page(status, body, leads_to.as_deref());
    if is_new {
        human::set_visitor(&mut response, state.config(), &visitor);
    }
    Ok(response)
}

fn logged_in(state: &AppState, cookies: &Cookies, session: &Session) -> Response {
    let secret = cookies.session.as_ref().map_or("", SessionId::expose);
    let body = pages::print(&AccountPage {
        base: &state.config().authz.issuer.path(),
        csrf: &super::logout::binding(secret).token(),
        title: "You are logged in",
        text: "Apps that you connect will ask you here what they may do.",
        account: session.username().as_str(),
    });
    human::page(StatusCode::OK, body, None)
}

fn in_words(duration: Duration) -> String {
    match duration.as_secs().div_ceil(60) {
        0 | 1 => "a minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}
