//! What the pages share: cookies, the proof that a form is our own, and the headers of a page.

use std::borrow::Cow;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_common::config::Config;
use portcullis_common::correlation::CorrelationId;
use portcullis_common::secret::SecretHash;
use url::Url;

use crate::accounts::session::{Session, SessionId};
use crate::page_error::PageError;
use crate::pages::{self, MessagePage};
use crate::state::AppState;
use crate::store::StoreError;

portcullis_common::secret! {
    /// Marks a browser before anybody has logged in, so that a login form can be bound to it.
    VisitorId
}

/// Why a form is not believed to be our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ForgeryError {
    #[error("the form was sent from another site")]
    OtherSite,
    #[error("the browser has no cookie to which the form could be bound")]
    NoCookie,
    #[error("the token of the form is missing or was made for another browser or request")]
    WrongToken,
}

/// What the cookies of a request say, unverified.
#[derive(Debug)]
pub(crate) struct Cookies {
    pub(crate) session: Option<SessionId>,
    pub(crate) visitor: Option<VisitorId>,
}

/// The names of our cookies. Over https the prefix makes browsers refuse one that another host or
/// path set (RFC 6265bis §4.1.3.2); over http on loopback they would refuse the prefix itself.
const NAMES_HTTPS: [&str; 2] = ["__Host-portcullis_session", "__Host-portcullis_visitor"];
const NAMES_LOOPBACK: [&str; 2] = ["portcullis_session", "portcullis_visitor"];

fn is_https(config: &Config) -> bool {
    config.authz.issuer.as_str().starts_with("https://")
}

const fn names(is_https: bool) -> [&'static str; 2] {
    if is_https {
        NAMES_HTTPS
    } else {
        NAMES_LOOPBACK
    }
}

impl Cookies {
    /// Reads the cookies that can be ours.
    pub(crate) fn of(headers: &HeaderMap, config: &Config) -> Self {
        let [session, visitor] = names(is_https(config));
        Self {
            session: find_cookie(headers, session).map(SessionId::new),
            visitor: find_cookie(headers, visitor).map(VisitorId::new),
        }
    }

    /// The session of the browser, if it lives.
    pub(crate) async fn find_session(
        &self,
        state: &AppState,
    ) -> Result<Option<Session>, StoreError> {
        match &self.session {
            Some(id) => Session::find(state, id).await,
            None => Ok(None),
        }
    }
}

/// The first cookie of this name that has the form of ours: 43 characters of base64url.
fn find_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(own, value)| *own == name && value.len() == 43 && value.bytes().all(allowed))
        .map(|(_, value)| value)
}

/// Hands a session to the browser.
pub(crate) fn set_session(response: &mut Response, config: &Config, id: &SessionId) {
    let [name, _] = names(is_https(config));
    let seconds = config.authz.session_ttl.as_secs();
    set_cookie(response, config, name, id.expose(), seconds);
}

/// Takes the session away from the browser.
pub(crate) fn clear_session(response: &mut Response, config: &Config) {
    let [name, _] = names(is_https(config));
    set_cookie(response, config, name, "", 0);
}

/// Marks a browser in which nobody has logged in.
pub(crate) fn set_visitor(response: &mut Response, config: &Config, id: &VisitorId) {
    let [_, name] = names(is_https(config));
    set_cookie(response, config, name, id.expose(), 3600);
}

fn set_cookie(response: &mut Response, config: &Config, name: &str, value: &str, seconds: u64) {
    let secure = if is_https(config) { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// What a token of a form is bound to.
#[derive(Debug)]
pub(crate) struct FormBinding<'a> {
    /// Which form it is.
    pub(crate) form: &'static str,
    /// A secret that only this browser has: its session, or its mark as a visitor.
    pub(crate) secret: &'a str,
    /// The handle of the request, if the form is about one.
    pub(crate) handle: &'a str,
}

impl FormBinding<'_> {
    /// The token: a digest of the secret that another site cannot know.
    pub(crate) fn token(&self) -> String {
        self.hash().to_hex()
    }

    /// Compares in constant time.
    pub(crate) fn verify(&self, token: Option<&str>) -> Result<(), ForgeryError> {
        let token = token.and_then(SecretHash::from_hex);
        match token {
            Some(token) if token.matches(&self.hash()) => Ok(()),
            _ => Err(ForgeryError::WrongToken),
        }
    }

    fn hash(&self) -> SecretHash {
        let Self {
            form,
            secret,
            handle,
        } = self;
        SecretHash::of(&format!("portcullis form\0{form}\0{secret}\0{handle}"))
    }
}

/// Whether a form was sent from a page of ours, as far as the browser says (OWASP: verifying origin
/// with standard headers). What is no browser says nothing, and is left to the token.
pub(crate) fn verify_same_origin(headers: &HeaderMap, config: &Config) -> Result<(), ForgeryError> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or("?").to_owned();
    let site = headers.get("sec-fetch-site").map(text);
    let is_same_site = match site.as_deref() {
        None => None,
        Some("same-origin" | "none") => Some(true),
        Some(_) => Some(false),
    };
    let is_allowed = match headers.get(ORIGIN).map(text).as_deref() {
        None => is_same_site != Some(false),
        // Our pages send no referrer, so browsers hide the origin of their forms.
        Some("null") => is_same_site == Some(true),
        Some(origin) => is_same_site != Some(false) && origin == own_origin(config),
    };
    is_allowed.then_some(()).ok_or(ForgeryError::OtherSite)
}

fn own_origin(config: &Config) -> String {
    Url::parse(config.authz.issuer.as_str())
        .map(|url| url.origin().ascii_serialization())
        .unwrap_or_default()
}

/// A page. `leads_to` is where its forms may end beside our own pages, as a source of a policy.
pub(crate) fn page(status: StatusCode, body: String, leads_to: Option<&str>) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(CONTENT_TYPE, html);
    let policy = format!(
        "default-src 'none'; style-src {}; form-action 'self'{}{}; frame-ancestors 'none'; base-uri 'none'",
        pages::style_source(),
        if leads_to.is_some() { " " } else { "" },
        leads_to.unwrap_or_default(),
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Sends the browser on. OAuth 2.1 §7.5.4: 303, so that what was posted is not posted again.
pub(crate) fn see_other(location: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    match HeaderValue::from_str(location) {
        Ok(location) => {
            response.headers_mut().insert(LOCATION, location);
            response
        }
        // Every location is built from ASCII; a redirect URI that is not cannot be registered.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Sends the browser to a page of ours. The path is absolute and names no host, so that no forged
/// header can lead anywhere.
pub(crate) fn see_own(state: &AppState, path: &str, handle: Option<&str>) -> Response {
    let base = state.config().authz.issuer.path();
    let query = match handle {
        Some(handle) => Cow::Owned(format!("?request={handle}")),
        None => Cow::Borrowed(""),
    };
    see_other(&format!("{base}{path}{query}"))
}

/// Turns errors into pages; they show the id of the request, which only this layer knows.
pub(crate) async fn print_errors(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<CorrelationId>().cloned();
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<PageError>() else {
        return response;
    };
    let body = pages::print(&MessagePage {
        title: error.title,
        text: error.text,
        next: error.next,
        id: id.as_ref().map(CorrelationId::as_str),
    });
    let mut printed = page(error.status, body, None);
    let headers = std::mem::take(response.headers_mut());
    for (name, value) in &headers {
        // What the router said beside the page, such as `Allow`.
        if name != CONTENT_TYPE && name != http::header::CONTENT_LENGTH {
            printed.headers_mut().append(name, value.clone());
        }
    }
    if let Some(wait) = error.retry_after {
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        printed.headers_mut().insert(RETRY_AFTER, seconds);
    }
    *printed.extensions_mut() = std::mem::take(response.extensions_mut());
    printed
}
