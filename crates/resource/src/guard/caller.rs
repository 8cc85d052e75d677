//! Who calls.

use portcullis_common::clock::Timestamp;
use portcullis_common::scope::Scope;

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
    /// The id under which this request stands in the logs.
    pub correlation_id: String,
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
    /// Whether the token has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}
