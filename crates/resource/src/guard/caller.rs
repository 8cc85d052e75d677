//! Who calls.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use portcullis_common::client_address::ClientAddress;
use portcullis_common::clock::Timestamp;
use portcullis_common::correlation::CorrelationId;
use portcullis_common::scope::Scope;
use portcullis_common::token::VerifiedAccessToken;
use portcullis_common::trace::TraceContext;

/// Who calls, as the verified access token says it; tools get nothing else of the request.
///
/// It does not hold the token: the client's token is never forwarded (MCP 2026-07-28,
/// authorization, token passthrough).
#[derive(Clone, Debug)]
pub struct Caller {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// `client_id`, else `azp`.
    pub client: Option<String>,
    /// Whether a person stands behind the token.
    pub principal: Principal,
    /// `scope`, as granted; implied scopes are not added.
    pub scopes: Scope,
    /// The roles, from the issuer's configured claim.
    pub roles: Vec<String>,
    /// `preferred_username`
    pub username: Option<String>,
    /// `email`
    pub email: Option<String>,
    /// `email_verified`
    pub email_verified: Option<bool>,
    /// `exp`
    pub expires_at: Timestamp,
    /// `grant_id`, where the token has one.
    pub grant: Option<Arc<str>>,
    /// The id under which this request stands in the logs.
    pub correlation_id: String,
    /// Where this call stands in somebody's trace. A tool that asks other servers sends it on, as
    /// the header `traceparent` (W3C Trace Context).
    pub trace: Option<TraceContext>,
    /// The trace of the HTTP request, where the message names another one.
    pub request_trace: Option<TraceContext>,
    /// Where the request came from, as far as the front of the process knows.
    pub source: Option<IpAddr>,
}

/// What stands behind a token (RFC 9068 §5, RFC 9700 §4.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A person.
    User,
    /// A client on its own behalf.
    Client,
}

impl Caller {
    /// Whoever holds this token. Id and source of the request were said by the outermost layer.
    pub(super) fn new(token: &VerifiedAccessToken, head: &Parts) -> Self {
        let correlation = head.extensions.get::<CorrelationId>();
        let source = head.extensions.get::<ClientAddress>();
        Self {
            issuer: token.issuer().as_str().to_owned(),
            subject: token.subject().to_owned(),
            client: token.client().map(str::to_owned),
            principal: principal_of(token),
            scopes: token.scope().clone(),
            roles: token.roles().to_vec(),
            username: token.username().map(str::to_owned),
            email: token.email().map(str::to_owned),
            email_verified: token.email_verified(),
            expires_at: token.expires_at(),
            grant: token.grant().cloned(),
            correlation_id: correlation.map_or_else(String::new, ToString::to_string),
            source: source.map(|source| source.0),
            trace: None,
            request_trace: None,
        }
    }

    /// MCP 2026-07-28 (`_meta`, trace context): what the message says is nearer to the call than
    /// what the request says, which may be a gateway's.
    pub(super) fn joins(
        &mut self,
        of_request: Option<TraceContext>,
        of_message: Option<TraceContext>,
    ) {
        self.trace = of_message.or(of_request);
        self.request_trace = of_request.filter(|_| of_message.is_some());
        if let (Some(request), Some(message)) = (of_request, of_message)
            && !request.is_same_trace(message)
        {
            tracing::Span::current().record("call_trace_id", message.trace_id());
        }
    }

    /// Whether the token has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

/// RFC 9068 §2.2: without a resource owner, `sub` is the client. Our own server writes it as
/// `client:<id>`, so that no user can have it.
fn principal_of(token: &VerifiedAccessToken) -> Principal {
    let subject = token.subject();
    if subject.starts_with("client:") || token.client() == Some(subject) {
        Principal::Client
    } else {
        Principal::User
    }
}
