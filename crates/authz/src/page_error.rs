//! The bridge from our errors to what a person reads: what happened, and what to do next.
//!
//! Nothing of the request is repeated to them; the cause goes to the log, under the id that the
//! page shows.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_common::entropy::EntropyError;

use crate::accounts::PasswordPoolError;
use crate::clients::metadata_document::{DocumentError, DocumentFault};
use crate::endpoints::form::FormError;
use crate::endpoints::human::ForgeryError;
use crate::error::{Cause, OAuthError};
use crate::grants::GrantError;
use crate::grants::authorize::{AuthorizationFault, UnknownAsker};
use crate::grants::consent::{DecisionError, WaitingError};
use crate::limiter::LimiterAway;
use crate::state::NotReady;
use crate::store::StoreError;

/// An error as a person reads it. The router turns it into a page, which needs the id of the
/// request.
#[derive(Clone, Debug)]
pub(crate) struct PageError {
    pub(crate) status: StatusCode,
    /// What happened, in a few words.
    pub(crate) title: &'static str,
    /// What happened, in a sentence.
    pub(crate) text: &'static str,
    /// What to do next.
    pub(crate) next: &'static str,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) cause: Option<Arc<dyn StdError + Send + Sync>>,
}

const BACK_TO_APP: &str = "Go back to the app and connect again.";
const TELL_DEVELOPER: &str =
    "Tell whoever made the app. Nothing was sent to it, and nothing was allowed.";
const AGAIN_SOON: &str = "Try again in a few seconds: go back and send the page once more.";

impl PageError {
    pub(crate) const fn new(
        status: StatusCode,
        title: &'static str,
        text: &'static str,
        next: &'static str,
    ) -> Self {
        Self {
            status,
            title,
            text,
            next,
            retry_after: None,
            cause: None,
        }
    }

    const fn bad_request(title: &'static str, text: &'static str, next: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, title, text, next)
    }

    fn unavailable() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Not available just now",
                "The server cannot do this at the moment. Nothing was lost.",
                AGAIN_SOON,
            )
        }
    }

    const fn ours() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong here",
            "This is a mistake of the server, not yours.",
            "Try again. If it happens again, tell the operator the number of the request below.",
        )
    }

    pub(crate) fn caused_by(mut self, error: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(error));
        self
    }

    /// The answer to a method that a page does not have; the router adds `Allow`.
    pub(crate) const fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "This page cannot be used like that",
            "A program asked for this page in a way that it does not have.",
            BACK_TO_APP,
        )
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(error) = &self.cause {
            let is_ours = self.status.is_server_error();
            let cause = Cause::new(Arc::clone(error), is_ours);
            response.extensions_mut().insert(cause);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<UnknownAsker> for PageError {
    fn from(error: UnknownAsker) -> Self {
        match &error {
            UnknownAsker::ClientMissing
            | UnknownAsker::ClientRepeated
            | UnknownAsker::ClientUnknown => Self::bad_request(
                "This app is not known here",
                "The app that sent you here did not say a name that this server knows.",
                "Connect again from the app; it may have to register anew. If it happens again, \
                 tell whoever made the app.",
            ),
            UnknownAsker::RedirectUriRepeated | UnknownAsker::RedirectUri(_) => Self::bad_request(
                "This app wants the answer in the wrong place",
                "The address to which you would be sent back is not one that the app registered.",
                TELL_DEVELOPER,
            ),
        }
        .caused_by(error)
    }
}

/// One page for everything that can be wrong with a document: whoever names one learns nothing of
/// what we could reach.
impl From<DocumentError> for PageError {
    fn from(error: DocumentError) -> Self {
        match error.fault {
            DocumentFault::LimiterAway(away) => return away.into(),
            DocumentFault::TooMany { retry_after } => Self {
                retry_after: Some(retry_after),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too many apps at once",
                    "This server has looked up too many apps lately.",
                    "Wait a minute and connect again from the app.",
                )
            },
            _ => Self::bad_request(
                "This app cannot be recognised",
                "The app is described by a page of its own, and this server cannot use that page.",
                "Try again in a minute. If it happens again, tell whoever made the app.",
            ),
        }
        .caused_by(error)
    }
}

/// A fault that is not taken to the client, because nobody vouches for where that would lead.
impl From<AuthorizationFault> for PageError {
    fn from(error: AuthorizationFault) -> Self {
        Self::bad_request(
            "The app asked for something impossible",
            "The request of the app is not one that this server can answer.",
            TELL_DEVELOPER,
        )
        .caused_by(error)
    }
}

impl From<FormError> for PageError {
    fn from(error: FormError) -> Self {
        let (title, text) = (
            "This request cannot be read",
            "What arrived here is not a form of this server, or not all of it.",
        );
        let status = match error {
            FormError::InQuery
            | FormError::Interrupted
            | FormError::Malformed
            | FormError::TooManyParameters
            | FormError::Repeated => StatusCode::BAD_REQUEST,
            FormError::NotAForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            FormError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        };
        Self::new(status, title, text, BACK_TO_APP).caused_by(error)
    }
}

impl From<ForgeryError> for PageError {
    fn from(error: ForgeryError) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This form is no longer valid",
            "It was sent from another page, from another browser, or after too long a time.",
            "Go back, load the page again and send it once more. Cookies of this site must be \
             allowed.",
        )
        .caused_by(error)
    }
}

impl From<WaitingError> for PageError {
    fn from(error: WaitingError) -> Self {
        match error {
            WaitingError::Unknown => Self::bad_request(
                "This took too long",
                "The request of the app is no longer waiting for you.",
                BACK_TO_APP,
            )
            .caused_by(error),
            WaitingError::Decided => Self::bad_request(
                "This was answered already",
                "You, or another window, have decided about this request before. The first \
                 decision counts.",
                "Look whether the app is connected. If it is not, connect again from there.",
            )
            .caused_by(error),
            WaitingError::Changed => Self::bad_request(
                "This app has changed meanwhile",
                "What the app asked for at first is no longer possible.",
                BACK_TO_APP,
            )
            .caused_by(error),
            WaitingError::Document(error) => error.into(),
            WaitingError::Store(error) => error.into(),
        }
    }
}

impl From<DecisionError> for PageError {
    fn from(error: DecisionError) -> Self {
        match error {
            DecisionError::AlreadyDecided => WaitingError::Decided.into(),
            DecisionError::SessionEnded => Self::new(
                StatusCode::FORBIDDEN,
                "You are logged out",
                "The session ended before your decision arrived. Nothing was allowed.",
                BACK_TO_APP,
            )
            .caused_by(error),
            DecisionError::NothingAllowed => Self::bad_request(
                "Nothing was ticked",
                "Without a single permission the app could do nothing.",
                "Go back and tick what you want to allow, or deny the request.",
            )
            .caused_by(error),
            DecisionError::Store(error) => error.into(),
            DecisionError::Entropy(error) => error.into(),
        }
    }
}

impl From<LimiterAway> for PageError {
    fn from(error: LimiterAway) -> Self {
        Self::unavailable().caused_by(error)
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::unavailable().caused_by(error)
    }
}

impl From<NotReady> for PageError {
    fn from(error: NotReady) -> Self {
        Self::unavailable().caused_by(error)
    }
}

impl From<PasswordPoolError> for PageError {
    fn from(error: PasswordPoolError) -> Self {
        match &error {
            PasswordPoolError::Busy => Self::unavailable(),
            PasswordPoolError::Entropy(_) | PasswordPoolError::Failed(_) => Self::ours(),
        }
        .caused_by(error)
    }
}

impl From<EntropyError> for PageError {
    fn from(error: EntropyError) -> Self {
        Self::ours().caused_by(error)
    }
}

impl From<GrantError> for PageError {
    fn from(error: GrantError) -> Self {
        Self::ours().caused_by(error)
    }
}

impl AuthorizationFault {
    /// What the client is told: an error code and a sentence (OAuth 2.1 §4.1.2.1, RFC 8707 §2,
    /// OpenID Connect Core §3.1.2.6).
    pub(crate) fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Repeated(_) => ("invalid_request", "a parameter is repeated"),
            Self::ResponseTypeMissing => ("invalid_request", "response_type is missing"),
            Self::ResponseTypeUnsupported => (
                "unsupported_response_type",
                "the only response type is code",
            ),
            Self::ResponseModeUnsupported => ("invalid_request", "the only response mode is query"),
            Self::RequestObject => (
                "request_not_supported",
                "request objects are not supported; send the parameters themselves",
            ),
            Self::RequestUri => (
                "request_uri_not_supported",
                "request references are not supported; send the parameters themselves",
            ),
            Self::GrantNotAllowed => (
                "unauthorized_client",
                "the client may not use the authorization code grant",
            ),
            Self::ChallengeMissing => ("invalid_request", "code_challenge is missing (PKCE)"),
            Self::ChallengeMethod => ("invalid_request", "code_challenge_method must be S256"),
            Self::Challenge(_) => (
                "invalid_request",
                "code_challenge must be 43 characters of base64url",
            ),
            Self::PromptContradicts => ("invalid_request", "prompt is none and something else"),
            Self::MaxAge => ("invalid_request", "max_age is not a number of seconds"),
            Self::Grant(error) => OAuthError::from(error).texts(),
            Self::LoginRequired => ("login_required", "the person would have to log in"),
            Self::ConsentRequired => ("consent_required", "the person would have to be asked"),
            Self::Denied => ("access_denied", "the person said no"),
        }
    }
}
