//! The authorization endpoint (OAuth 2.1 §3.1).

use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{Extensions, Method, StatusCode};
use portcullis_common::audit::Event;
use portcullis_common::metrics::ErrorCode;

use super::form::{self, Form, FormError};
use super::human::{self, Cookies};
use super::metadata::{CONSENT, LOGIN};
use crate::accounts::session::Session;
use crate::grants::authorize::{
    AuthorizationError, AuthorizationFault, ReturnPath, ValidatedAuthorizationRequest,
};
use crate::grants::consent::WaitingAuthorization;
use crate::page_error::PageError;
use crate::state::AppState;

/// Longest query, in bytes.
const MAX_QUERY: usize = 32 * 1024;

/// Answers a request in the query.
pub(crate) async fn get(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, PageError> {
    let (head, _) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    if query.len() > MAX_QUERY {
        return Err(PageError {
            status: StatusCode::URI_TOO_LONG,
            ..FormError::TooLarge.into()
        });
    }
    let form = Form::parse_repetitions(query.as_bytes())?;
    answer(&state, &head, &form, head.method == Method::HEAD).await
}

/// Answers a request in the body, exactly as one in the query (OpenID Connect Core §3.1.2.1).
pub(crate) async fn post(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, PageError> {
    let (head, body) = form::read(request).await?;
    let form = Form::parse_repetitions(&body)?;
    answer(&state, &head, &form, false).await
}

async fn answer(
    state: &AppState,
    head: &Parts,
    form: &Form<'_>,
    is_head: bool,
) -> Result<Response, PageError> {
    // What is in memory counts only while the store can say that nothing changed.
    state.confirmed()?;
    let session = Cookies::of(&head.headers, state.config())
        .find_session(state)
        .await?;
    let source = super::source(&head.extensions).0;
    let request = match ValidatedAuthorizationRequest::validate(state, form, source).await {
        Ok(request) => request,
        Err(AuthorizationError::Page(error)) => return Err(error.into()),
        Err(AuthorizationError::OutOfOrder(error)) => return Err(error.into()),
        Err(AuthorizationError::Document(error)) => return Err(error.into()),
        Err(AuthorizationError::Store(error)) => return Err(error.into()),
        Err(AuthorizationError::Redirect { to, fault }) => {
            return refuse(state, &to, fault, session.as_ref());
        }
    };
    if is_head {
        return Ok(human::page(StatusCode::OK, String::new(), None));
    }
    ask(state, request, session.as_ref(), &head.extensions).await
}

/// Takes a validated request to its person: to the login, to the question, or, where the person has
/// allowed the same before, straight to the answer.
async fn ask(
    state: &AppState,
    request: ValidatedAuthorizationRequest,
    session: Option<&Session>,
    extensions: &Extensions,
) -> Result<Response, PageError> {
    let prompt = request.prompt();
    let to = request.return_path().clone();
    let now = state.clock().now();
    let is_login_due =
        session.is_none_or(|session| request.demands_login_after(session.authenticated_at, now));
    // OpenID Connect Core §3.1.2.6: without a page there is only yes or an error.
    if prompt.is_none && is_login_due {
        return refuse(state, &to, AuthorizationFault::LoginRequired, session);
    }
    let waiting = WaitingAuthorization::open(state, request, session).await?;
    let handle = Some(waiting.handle().expose());
    let Some(session) = waiting.accepted_session(session) else {
        return Ok(human::see_own(state, LOGIN, handle));
    };
    if waiting.is_remembered(state, session).await? {
        return approve_silently(state, &waiting, session, extensions).await;
    }
    if prompt.is_none {
        return refuse(
            state,
            &to,
            AuthorizationFault::ConsentRequired,
            Some(session),
        );
    }
    Ok(human::see_own(state, CONSENT, handle))
}

/// Answers what the person allowed before, and need not be asked again.
pub(super) async fn approve_silently(
    state: &AppState,
    waiting: &WaitingAuthorization,
    session: &Session,
    extensions: &Extensions,
) -> Result<Response, PageError> {
    state.recordable()?;
    let scope = waiting.request().scope().clone();
    let mut record = state.draft(Event::CodeIssued).of_request(extensions);
    let code = waiting.approve(state, session, scope, &mut record).await?;
    let issuer = state.config().authz.issuer.as_str();
    let to = waiting.request().return_path();
    Ok(human::see_other(&to.success(issuer, &code)))
}

/// Tells the client what is wrong; but nobody is sent to the address of a client that nobody
/// vouches for before they have logged in (RFC 9700 §4.11.2).
pub(super) fn refuse(
    state: &AppState,
    to: &ReturnPath,
    fault: AuthorizationFault,
    session: Option<&Session>,
) -> Result<Response, PageError> {
    if to.client.is_self_registered() && session.is_none() {
        return Err(fault.into());
    }
    let cause = fault.to_string();
    let (code, description) = fault.texts();
    tracing::info!(
        client.id = %to.client.id,
        error = code,
        cause,
        "the authorization request was refused"
    );
    let issuer = state.config().authz.issuer.as_str();
    let mut response = human::see_other(&to.failure(issuer, code, description));
    response.extensions_mut().insert(ErrorCode(code));
    Ok(response)
}
