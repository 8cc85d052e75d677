//! Challenges: `WWW-Authenticate` (RFC 6750 §3, RFC 9728 §5.1).

use std::fmt::{Display, Write as _};

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode};
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::Scope;
use portcullis_common::token::TokenError;
use serde_json::json;

/// A refusal that tells a client which token to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    status: StatusCode,
    /// `error`; absent when no token was sent (RFC 6750 §3.1).
    error: Option<&'static str>,
    description: String,
    scope: Scope,
    resource_metadata: String,
}

impl Challenge {
    fn new(status: StatusCode, error: Option<&'static str>, description: &str) -> Self {
        Self {
            status,
            error,
            description: description.to_owned(),
            scope: Scope::empty(),
            resource_metadata: String::new(),
        }
    }

    /// No token was sent: the baseline scopes, and no error code (RFC 6750 §3.1).
    pub fn no_token(scope: Scope) -> Self {
        let description = "This resource needs an access token. The metadata named in the \
                           challenge says where to get one.";
        Self {
            scope,
            ..Self::new(StatusCode::UNAUTHORIZED, None, description)
        }
    }

    /// The token is no good.
    pub fn invalid_token(cause: &TokenError, scope: Scope) -> Self {
        let description = format!("The access token is refused: {cause}. Get a new one.");
        let error = Some("invalid_token");
        Self {
            scope,
            ..Self::new(StatusCode::UNAUTHORIZED, error, &description)
        }
    }

    /// The token is good but does not reach this far; `scope` is all that the operation needs.
    pub fn insufficient_scope(scope: Scope) -> Self {
        let description = format!("This operation needs the scope {scope}.");
        let error = Some("insufficient_scope");
        Self {
            scope,
            ..Self::new(StatusCode::FORBIDDEN, error, &description)
        }
    }

    /// More than one credential was sent.
    pub fn invalid_request() -> Self {
        let description = "Send exactly one access token, in the Authorization header.";
        Self::new(
            StatusCode::BAD_REQUEST,
            Some("invalid_request"),
            description,
        )
    }

    /// The same challenge for this resource. It always names the path form of the metadata.
    #[must_use]
    pub fn at(mut self, resource: &ResourceIndicator) -> Self {
        self.resource_metadata = resource.metadata_url();
        self
    }

    /// Whether something is wrong with what was presented; without a token nothing is.
    pub(super) const fn names_error(&self) -> bool {
        self.error.is_some()
    }

    /// The word under which it is counted.
    pub(super) const fn label(&self) -> &'static str {
        match self.error {
            Some(error) => error,
            None => "no_token",
        }
    }

    /// The value of `WWW-Authenticate`. Every attribute stands once; values are printable ASCII
    /// without quote and backslash by construction of their types.
    fn header(&self) -> Option<HeaderValue> {
        let mut text = String::from("Bearer ");
        let mut attribute = |name: &str, value: &dyn Display| {
            let separator = if text.len() > "Bearer ".len() {
                ", "
            } else {
                ""
            };
            let _ = write!(text, "{separator}{name}=\"{value}\"");
        };
        if let Some(error) = self.error {
            attribute("error", &error);
            attribute("error_description", &self.description);
        }
        if !self.scope.is_empty() {
            attribute("scope", &self.scope);
        }
        attribute("resource_metadata", &self.resource_metadata);
        HeaderValue::from_str(&text).ok()
    }

    pub(super) fn into_response(self) -> Response<axum::body::Body> {
        let header = self.header();
        let error = self.error.unwrap_or("unauthorized");
        let body = json!({ "error": error, "error_description": self.description });
        let mut response = super::refusal::json_response(self.status, &body);
        if let Some(header) = header {
            response.headers_mut().insert(WWW_AUTHENTICATE, header);
        }
        response
    }
}
