//! The one bridge from our errors to what a peer reads.
//!
//! Domain errors say precisely what happened; the peer gets a code of the specification and a
//! sentence for strangers. The cause goes to the log, once, and never into an answer.

mod record;
mod registration;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use portcullis_common::metrics::ErrorCode;

use crate::clients::authentication::ClientAuthError;
use crate::clients::metadata_document::{DocumentError, DocumentFault};
use crate::endpoints::form::FormError;
use crate::endpoints::introspect::IntrospectionError;
use crate::endpoints::revoke::RevocationError;
use crate::endpoints::userinfo::UserinfoError;
use crate::grants::{ExchangeError, GrantError};
use crate::state::NotReady;
use crate::store::StoreError;

/// An error code of the token endpoint (OAuth 2.1 §3.2.4, RFC 8707 §2), or of our own making where
/// the specifications have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OAuthErrorCode {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    InvalidToken,
    InsufficientScope,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    InvalidTarget,
    InvalidRedirectUri,
    InvalidClientMetadata,
    InvalidSoftwareStatement,
    TooManyRequests,
    NotFound,
    TemporarilyUnavailable,
    ServerError,
}

impl OAuthErrorCode {
    /// The code on the wire and its status.
    const fn wire(self) -> (&'static str, StatusCode) {
        match self {
            Self::InvalidRequest => ("invalid_request", StatusCode::BAD_REQUEST),
            Self::InvalidClient => ("invalid_client", StatusCode::UNAUTHORIZED),
            Self::InvalidGrant => ("invalid_grant", StatusCode::BAD_REQUEST),
            Self::InvalidToken => ("invalid_token", StatusCode::UNAUTHORIZED),
            Self::InsufficientScope => ("insufficient_scope", StatusCode::FORBIDDEN),
            Self::UnauthorizedClient => ("unauthorized_client", StatusCode::BAD_REQUEST),
            Self::UnsupportedGrantType => ("unsupported_grant_type", StatusCode::BAD_REQUEST),
            Self::InvalidScope => ("invalid_scope", StatusCode::BAD_REQUEST),
            Self::InvalidTarget => ("invalid_target", StatusCode::BAD_REQUEST),
            Self::InvalidRedirectUri => ("invalid_redirect_uri", StatusCode::BAD_REQUEST),
            Self::InvalidClientMetadata => ("invalid_client_metadata", StatusCode::BAD_REQUEST),
            Self::InvalidSoftwareStatement => {
                ("invalid_software_statement", StatusCode::BAD_REQUEST)
            }
            Self::TooManyRequests => ("too_many_requests", StatusCode::TOO_MANY_REQUESTS),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Self::TemporarilyUnavailable => {
                ("temporarily_unavailable", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::ServerError => ("server_error", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

const LIMITER_AWAY: &str = "the server cannot count attempts just now; try again soon";
const RECORDS_AWAY: &str = "the server cannot write its audit trail; try again soon";
const STORE_AWAY: &str = "the server cannot reach its store; try again soon";
/// When a client whose document cannot be had may try again.
const DOCUMENT_AWAY: Duration = Duration::from_secs(5);
const BASIC_CHALLENGE: &str = "Basic realm=\"portcullis\", charset=\"UTF-8\"";

/// An error as a peer gets it.
#[derive(Clone, Debug)]
pub(crate) struct OAuthError {
    code: OAuthErrorCode,
    status: StatusCode,
    /// Printable ASCII without quote and backslash (OAuth 2.1 §3.2.4).
    description: &'static str,
    challenge: Option<&'static str>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
}

/// What really happened, for the log alone.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    error: Arc<dyn StdError + Send + Sync>,
    is_ours: bool,
}

impl OAuthError {
    pub(crate) const fn new(code: OAuthErrorCode, description: &'static str) -> Self {
        Self {
            code,
            status: code.wire().1,
            description,
            challenge: None,
            retry_after: None,
            cause: None,
        }
    }

    const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    const fn with_challenge(mut self, challenge: &'static str) -> Self {
        self.challenge = Some(challenge);
        self
    }

    const fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    fn caused_by(mut self, error: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Some(Cause {
            error: Arc::new(error),
            is_ours: self.status.is_server_error(),
        });
        self
    }

    /// Like [`Self::caused_by`], for what is somebody else's fault whatever the status says.
    fn caused_elsewhere(mut self, error: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Some(Cause {
            error: Arc::new(error),
            is_ours: false,
        });
        self
    }

    /// The code on the wire and the sentence for strangers, for answers that are not JSON.
    pub(crate) const fn texts(&self) -> (&'static str, &'static str) {
        (self.code.wire().0, self.description)
    }

    /// The answer to a path that is not there.
    pub(crate) const fn not_found() -> Self {
        Self::new(OAuthErrorCode::NotFound, "there is nothing at this path")
    }

    /// The answer to a method that an endpoint does not have; the router adds `Allow`.
    pub(crate) const fn method_not_allowed() -> Self {
        Self::new(
            OAuthErrorCode::InvalidRequest,
            "this endpoint does not have this method",
        )
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
    }
}

impl Cause {
    pub(crate) fn new(error: Arc<dyn StdError + Send + Sync>, is_ours: bool) -> Self {
        Self { error, is_ours }
    }

    /// Writes the cause to the log: what clients do wrong is of passing interest, what we do wrong
    /// is not.
    pub(crate) fn log(&self) {
        let error = self.error.as_ref();
        if self.is_ours {
            tracing::error!(error, "the request failed");
        } else {
            tracing::info!(error, "the request was refused");
        }
    }
}

impl From<FormError> for OAuthError {
    fn from(error: FormError) -> Self {
        use OAuthErrorCode::InvalidRequest;
        match error {
            FormError::InQuery => Self::new(
                InvalidRequest,
                "parameters belong into the body, not into the query",
            ),
            FormError::NotAForm => Self::new(
                InvalidRequest,
                "the body must be application/x-www-form-urlencoded",
            )
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            FormError::TooLarge => Self::new(InvalidRequest, "the body is too large")
                .with_status(StatusCode::PAYLOAD_TOO_LARGE),
            FormError::Interrupted => Self::new(InvalidRequest, "the body did not arrive whole"),
            FormError::Malformed => Self::new(
                InvalidRequest,
                "the body is not a well-formed urlencoded form",
            ),
            FormError::TooManyParameters => {
                Self::new(InvalidRequest, "the body has too many parameters")
            }
            FormError::Repeated => Self::new(InvalidRequest, "a parameter is repeated"),
        }
        .caused_by(error)
    }
}

impl From<ClientAuthError> for OAuthError {
    fn from(error: ClientAuthError) -> Self {
        use OAuthErrorCode::{InvalidClient, InvalidRequest};
        let mut mapped = match &error {
            ClientAuthError::SeveralMethods => Self::new(
                InvalidRequest,
                "a client authenticates in one way per request",
            ),
            ClientAuthError::DifferentClientId => Self::new(
                InvalidRequest,
                "client_id differs from the client of the Authorization header",
            ),
            ClientAuthError::SecretWithoutId => {
                Self::new(InvalidRequest, "client_secret needs client_id beside it")
            }
            ClientAuthError::AssertionUnsupported => Self::new(
                InvalidClient,
                "private_key_jwt and other client assertions are not supported",
            ),
            ClientAuthError::Store(_) => Self::new(
                OAuthErrorCode::TemporarilyUnavailable,
                "the server cannot reach its store; try again soon",
            ),
            ClientAuthError::LimiterAway(_) => {
                Self::new(OAuthErrorCode::TemporarilyUnavailable, LIMITER_AWAY)
            }
            ClientAuthError::TooManyWrong { retry_after, .. } => Self::new(
                OAuthErrorCode::TooManyRequests,
                "the client secret was wrong too often; try again later",
            )
            .with_retry_after(*retry_after),
            ClientAuthError::Document(error) => return from_document(error.clone()),
            ClientAuthError::Missing => {
                Self::new(InvalidClient, "the client did not say who it is")
            }
            // RFC 6749 §5.2 lets the reasons be told apart; whoever guesses must not profit.
            ClientAuthError::HeaderUnreadable
            | ClientAuthError::Unknown { .. }
            | ClientAuthError::WrongMethod { .. }
            | ClientAuthError::NoCertificate { .. }
            | ClientAuthError::WrongCertificate { .. }
            | ClientAuthError::WrongSecret { .. } => {
                Self::new(InvalidClient, "client authentication failed")
            }
        };
        // OAuth 2.1 §3.2.4: whoever tried the Authorization header is told its scheme.
        let is_basic = mapped.code == InvalidClient && error.tried_header();
        mapped.challenge = is_basic.then_some(BASIC_CHALLENGE);
        mapped.caused_by(error)
    }
}

/// A client whose document cannot be had keeps what it was granted: it is told to come back, and
/// nothing is consumed. Only a document that says something else, or that was taken away, ends it.
fn from_document(error: DocumentError) -> OAuthError {
    match error.fault {
        DocumentFault::TooMany { retry_after } => OAuthError::new(
            OAuthErrorCode::TooManyRequests,
            "too many client metadata documents were fetched; try again later",
        )
        .with_retry_after(retry_after),
        _ if error.fault.is_final() => OAuthError::new(
            OAuthErrorCode::InvalidClient,
            "client authentication failed",
        ),
        _ => OAuthError::new(
            OAuthErrorCode::TemporarilyUnavailable,
            "the metadata document of the client cannot be had just now; try again soon",
        )
        .with_retry_after(DOCUMENT_AWAY),
    }
    .caused_elsewhere(error)
}

impl From<GrantError> for OAuthError {
    fn from(error: GrantError) -> Self {
        use OAuthErrorCode::{
            InvalidRequest, InvalidScope, InvalidTarget, ServerError, TemporarilyUnavailable,
            UnauthorizedClient, UnsupportedGrantType,
        };
        match &error {
            GrantError::GrantTypeMissing => Self::new(InvalidRequest, "grant_type is missing"),
            GrantError::GrantTypeUnsupported => Self::new(
                UnsupportedGrantType,
                "this server does not have this grant type",
            ),
            GrantError::GrantNotAllowed => {
                Self::new(UnauthorizedClient, "the client may not use this grant type")
            }
            GrantError::PublicClient => Self::new(
                UnauthorizedClient,
                "client credentials are for clients that can authenticate",
            ),
            GrantError::ScopeMalformed(_) => Self::new(InvalidScope, "the scope is malformed"),
            GrantError::ScopeNotAllowed => Self::new(
                InvalidScope,
                "a scope is unknown, without meaning for the resource, or not for this client",
            ),
            GrantError::ScopeEmpty => Self::new(
                InvalidScope,
                "no default scope is for this client; name one in scope",
            ),
            GrantError::ResourceMalformed(_) => Self::new(
                InvalidTarget,
                "resource must be an absolute URL without a fragment",
            ),
            GrantError::ResourceUnknown => Self::new(
                InvalidTarget,
                "this server issues no tokens for this resource",
            ),
            GrantError::SeveralResources => Self::new(InvalidTarget, "a token is for one resource"),
            GrantError::NoDefaultResource => Self::new(
                InvalidTarget,
                "no default resource is configured; name one in resource",
            ),
            GrantError::Exchange(error) => (*error).into(),
            GrantError::Store(_) => Self::new(TemporarilyUnavailable, STORE_AWAY),
            GrantError::OutOfOrder
            | GrantError::Sign(_)
            | GrantError::Entropy(_)
            | GrantError::Seal(_) => Self::new(ServerError, "the token could not be made"),
        }
        .caused_by(error)
    }
}

impl From<ExchangeError> for OAuthError {
    fn from(error: ExchangeError) -> Self {
        use OAuthErrorCode::{InvalidGrant, InvalidRequest, InvalidScope, InvalidTarget};
        match error {
            ExchangeError::CodeMissing => Self::new(InvalidRequest, "code is missing"),
            ExchangeError::VerifierMissing => Self::new(InvalidRequest, "code_verifier is missing"),
            ExchangeError::RefreshTokenMissing => {
                Self::new(InvalidRequest, "refresh_token is missing")
            }
            ExchangeError::RedirectUriMismatch => Self::new(
                InvalidGrant,
                "redirect_uri is not the one of the authorization request",
            ),
            ExchangeError::VerifierMismatch => {
                Self::new(InvalidGrant, "code_verifier does not match code_challenge")
            }
            // Whoever tries codes and tokens of others learns nothing from the answer.
            ExchangeError::CodeUnknown
            | ExchangeError::CodeOfAnotherClient
            | ExchangeError::CodeExpired
            | ExchangeError::CodeExhausted
            | ExchangeError::CodeReplayed
            | ExchangeError::CodeLost => Self::new(
                InvalidGrant,
                "the code is unknown, expired, used, or not for this client",
            ),
            ExchangeError::RefreshTokenUnknown
            | ExchangeError::RefreshTokenOfAnotherClient
            | ExchangeError::RefreshTokenExpired
            | ExchangeError::RefreshTokenReplayed
            | ExchangeError::RefreshTokenLost => Self::new(
                InvalidGrant,
                "the refresh token is unknown, expired, replaced, or not for this client",
            ),
            ExchangeError::GrantEnded | ExchangeError::NothingLeft => {
                Self::new(InvalidGrant, "what was granted has ended; log in again")
            }
            ExchangeError::ScopeBeyondGrant => {
                Self::new(InvalidScope, "the scope is more than was granted")
            }
            ExchangeError::ResourceNotGranted => Self::new(
                InvalidTarget,
                "the resource is not the one that was granted",
            ),
        }
        .caused_by(error)
    }
}

impl From<NotReady> for OAuthError {
    fn from(error: NotReady) -> Self {
        match &error {
            NotReady::Store(_) | NotReady::Unconfirmed => {
                Self::new(OAuthErrorCode::TemporarilyUnavailable, STORE_AWAY)
            }
            NotReady::Unrecorded(_) => {
                Self::new(OAuthErrorCode::TemporarilyUnavailable, RECORDS_AWAY)
            }
        }
        .caused_by(error)
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        NotReady::Store(error).into()
    }
}

impl From<serde_json::Error> for OAuthError {
    fn from(error: serde_json::Error) -> Self {
        Self::new(
            OAuthErrorCode::ServerError,
            "the answer could not be printed",
        )
        .caused_by(error)
    }
}

impl From<RevocationError> for OAuthError {
    fn from(error: RevocationError) -> Self {
        match &error {
            RevocationError::TokenMissing => {
                Self::new(OAuthErrorCode::InvalidRequest, "token is missing")
            }
        }
        .caused_by(error)
    }
}

impl From<IntrospectionError> for OAuthError {
    fn from(error: IntrospectionError) -> Self {
        match &error {
            IntrospectionError::TokenMissing => {
                Self::new(OAuthErrorCode::InvalidRequest, "token is missing")
            }
            IntrospectionError::NotAllowed => Self::new(
                OAuthErrorCode::InvalidClient,
                "this client may not ask about tokens",
            ),
        }
        .caused_by(error)
    }
}

impl From<UserinfoError> for OAuthError {
    fn from(error: UserinfoError) -> Self {
        use OAuthErrorCode::{InsufficientScope, InvalidToken};
        // RFC 6750 §3.1: who sent no token is told how, and nothing of an error.
        let (mapped, challenge) = match &error {
            UserinfoError::NoToken => (
                Self::new(InvalidToken, "an access token is needed"),
                "Bearer realm=\"portcullis\"",
            ),
            UserinfoError::Inactive => (
                Self::new(
                    InvalidToken,
                    "the token is not an active one of this server",
                ),
                "Bearer realm=\"portcullis\", error=\"invalid_token\"",
            ),
            UserinfoError::ScopeMissing => (
                Self::new(InsufficientScope, "the scope openid is needed"),
                "Bearer realm=\"portcullis\", error=\"insufficient_scope\", scope=\"openid\"",
            ),
        };
        let mut mapped = mapped.caused_by(error);
        mapped.challenge = Some(challenge);
        mapped
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "error": self.code.wire().0,
            "error_description": self.description,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        } else if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        let extensions = response.extensions_mut();
        extensions.insert(ErrorCode(self.code.wire().0));
        if let Some(cause) = self.cause {
            extensions.insert(cause);
        }
        response
    }
}
