//! The consent page: who asks, for what, and where the answer goes.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode};
use portcullis_common::audit::Event;
use portcullis_common::scope::Scope;

use super::authorize::{approve_silently, refuse};
use super::form::{self, Form, FormError};
use super::human::{self, Cookies, ForgeryError, FormBinding};
use super::metadata::LOGIN;
use crate::accounts::session::{RequestHandle, Session, SessionId};
use crate::clients::ClientOrigin;
use crate::grants::IDENTITY_SCOPES;
use crate::grants::authorize::AuthorizationFault;
use crate::grants::consent::WaitingAuthorization;
use crate::page_error::PageError;
use crate::pages::{self, ConsentPage, ScopeLine};
use crate::state::AppState;

/// Asks, unless the person has allowed the same before.
pub(crate) async fn get(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, PageError> {
    let (head, _) = request.into_parts();
    let source = super::source(&head.extensions).0;
    let form = Form::parse(head.uri.query().unwrap_or_default().as_bytes())?;
    let cookies = Cookies::of(&head.headers, state.config());
    let session = cookies.find_session(&state).await?;
    let waiting = find_waiting(&state, &form, source).await?;
    let Some(session) = waiting.accepted_session(session.as_ref()) else {
        let handle = waiting.handle().expose();
        return Ok(human::see_own(&state, LOGIN, Some(handle)));
    };
    // HEAD looks and decides nothing.
    if head.method != Method::HEAD && waiting.is_remembered(&state, session).await? {
        return approve_silently(&state, &waiting, session, &head.extensions).await;
    }
    let secret = cookies.session.as_ref().map_or("", SessionId::expose);
    Ok(show(&state, &waiting, session, secret))
}

/// Takes the decision.
pub(crate) async fn post(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, PageError> {
    let (head, body) = request.into_parts();
    let source = super::source(&head.extensions).0;
    human::verify_same_origin(&head.headers, state.config())?;
    let body = form::read_body(&head, body).await?;
    let form = Form::parse_repetitions(&body)?;
    if ["request", "csrf", "decision"]
        .into_iter()
        .any(|name| form.is_repeated(name))
    {
        return Err(FormError::Repeated.into());
    }
    let cookies = Cookies::of(&head.headers, state.config());
    let id = cookies.session.as_ref().ok_or(ForgeryError::NoCookie)?;
    // Bound to the session and to this very request: what was shown in another window, or to
    // somebody else, is not what is decided here.
    let handle = form.find("request").unwrap_or_default();
    binding(id.expose(), handle).verify(form.find("csrf"))?;
    let session = cookies.find_session(&state).await?;
    let waiting = find_waiting(&state, &form, source).await?;
    let Some(session) = waiting.accepted_session(session.as_ref()) else {
        return Ok(human::see_own(&state, LOGIN, Some(handle)));
    };
    state.recordable()?;
    let to = waiting.request().return_path();
    let draft = || state.draft(Event::Consent).of_request(&head.extensions);
    match form.find("decision") {
        Some("allow") => {
            let allowed = waiting.allowed(form.all("scope"));
            let mut record = draft();
            let code = waiting
                .approve(&state, session, allowed, &mut record)
                .await?;
            drop(record.beside(Event::CodeIssued));
            let issuer = state.config().authz.issuer.as_str();
            Ok(human::see_other(&to.success(issuer, &code)))
        }
        Some("deny") => {
            waiting.deny(&state, session, &mut draft()).await?;
            refuse(&state, to, AuthorizationFault::Denied, Some(session))
        }
        _ => Err(FormError::Malformed.into()),
    }
}

async fn find_waiting(
    state: &AppState,
    form: &Form<'_>,
    source: IpAddr,
) -> Result<WaitingAuthorization, PageError> {
    // The client may have been removed meanwhile, which memory knows only while it is confirmed.
    state.confirmed()?;
    let handle = RequestHandle::new(form.find("request").unwrap_or_default());
    Ok(WaitingAuthorization::find(state, handle, source).await?)
}

fn binding<'a>(secret: &'a str, handle: &'a str) -> FormBinding<'a> {
    FormBinding {
        form: "consent",
        secret,
        handle,
    }
}

fn show(
    state: &AppState,
    waiting: &WaitingAuthorization,
    session: &Session,
    secret: &str,
) -> Response {
    let request = waiting.request();
    let (client, redirect_uri) = (request.client(), request.redirect_uri());
    let handle = waiting.handle().expose();
    let (document_host, standing) = match &client.origin {
        ClientOrigin::Operator | ClientOrigin::Configuration => {
            (None, "added by the operator of this server")
        }
        ClientOrigin::Registration => (None, "unverified"),
        ClientOrigin::Document { host, .. } => (Some(host.as_str()), "unverified"),
    };
    let body = pages::print(&ConsentPage {
        base: &state.config().authz.issuer.path(),
        csrf: &binding(secret, handle).token(),
        handle,
        client: &client.name,
        client_id: client.id.as_str(),
        document_host,
        standing,
        is_unverified: client.is_self_registered(),
        is_loopback: redirect_uri.is_loopback() && client.is_public(),
        redirect_host: &redirect_uri.host(),
        resource: request.resource().identifier.as_str(),
        resource_name: &request.resource().name,
        account: session.username().as_str(),
        scopes: scope_lines(state, request.scope()),
    });
    let leads_to = redirect_uri.form_action_source();
    human::page(StatusCode::OK, body, Some(&leads_to))
}

/// The scopes in words: those of the resources in the operator's order, then our own.
fn scope_lines<'a>(state: &'a AppState, scope: &'a Scope) -> Vec<ScopeLine<'a>> {
    let declared = state.config().scopes.declarations();
    let of_resource = declared
        .iter()
        .filter(|declaration| scope.contains(declaration.name.as_str()))
        .map(|declaration| ScopeLine {
            name: declaration.name.as_str(),
            text: &declaration.text,
        });
    let own = IDENTITY_SCOPES
        .into_iter()
        .filter(|name| scope.contains(name))
        .filter_map(|name| Some((name, own_text(name)?)))
        .map(|(name, text)| ScopeLine { name, text });
    of_resource.chain(own).collect()
}

/// What our own scopes mean.
fn own_text(name: &str) -> Option<&'static str> {
    match name {
        "openid" => Some("Recognise you when you come back"),
        "profile" => Some("See your user name"),
        "email" => Some("See your e-mail address"),
        "offline_access" => {
            Some("Stay connected while you are away, until you or the operator end it")
        }
        _ => None,
    }
}
