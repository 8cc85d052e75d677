//! Logging out.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use portcullis_common::audit::{Actor, Event};

use super::form::{self, Form};
use super::human::{self, Cookies, ForgeryError, FormBinding};
use super::metadata::LOGOUT;
use crate::accounts::session::SessionId;
use crate::page_error::PageError;
use crate::pages::{self, AccountPage, MessagePage};
use crate::state::AppState;

/// Shows the form; changes nothing, so that no other site can log anybody out with a link.
pub(crate) async fn get(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, PageError> {
    let cookies = Cookies::of(request.headers(), state.config());
    let session = cookies.find_session(&state).await?;
    let secret = cookies.session.as_ref().map_or("", SessionId::expose);
    let body = match &session {
        Some(session) => pages::print(&AccountPage {
            base: &state.config().authz.issuer.path(),
            csrf: &binding(secret).token(),
            title: "Log out?",
            text: "Apps that you have connected stay connected.",
            account: session.username().as_str(),
        }),
        None => pages::print(&MessagePage {
            title: "You are logged out",
            text: "Nobody is logged in here in this browser.",
            next: "You can close this window.",
            id: None,
        }),
    };
    Ok(human::page(StatusCode::OK, body, None))
}

/// Ends the session, here and in the browser.
pub(crate) async fn post(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, PageError> {
    let (head, body) = request.into_parts();
    human::verify_same_origin(&head.headers, state.config())?;
    let body = form::read_body(&head, body).await?;
    let form = Form::parse(&body)?;
    let cookies = Cookies::of(&head.headers, state.config());
    if let Some(session) = cookies.find_session(&state).await? {
        let id = cookies.session.as_ref().ok_or(ForgeryError::NoCookie)?;
        binding(id.expose()).verify(form.find("csrf"))?;
        let record = state.draft(Event::Logout).by(Actor::Subject);
        let mut record = record.of_request(&head.extensions);
        record
            .subject(session.account.id.as_str())
            .username(session.username().as_str());
        state.store().end_session(session.hash).await?;
        record.succeed();
        tracing::info!(
            account.id = session.account.id.as_str(),
            outcome = "logged out",
            "logout"
        );
    }
    let mut response = human::see_own(&state, LOGOUT, None);
    human::clear_session(&mut response, state.config());
    Ok(response)
}

pub(super) fn binding(secret: &str) -> FormBinding<'_> {
    FormBinding {
        form: "logout",
        secret,
        handle: "",
    }
}
