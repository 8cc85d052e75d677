//! The claims of a token, read strictly: a wrong JSON type is a refusal, never "absent".

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::TokenError;
use crate::clock::Timestamp;
use crate::issuer::Issuer;
use crate::resource_indicator::ResourceIndicator;
use crate::scope::Scope;

/// Longest identifier accepted in a claim, in bytes.
pub const MAX_IDENTIFIER_BYTES: usize = 512;
/// Most roles read from a token.
const MAX_ROLES: usize = 256;
/// The last second of the year 9999: later dates are not times but attacks on arithmetic.
const LATEST: i64 = 253_402_300_799;

/// An access token that was verified: issuer, signature, type, audience and times.
///
/// Made by `TokenVerifier::verify` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct VerifiedAccessToken {
    issuer: Issuer,
    subject: String,
    client: Option<String>,
    scope: Scope,
    roles: Vec<String>,
    username: Option<String>,
    email: Option<String>,
    email_verified: Option<bool>,
    grant: Option<Arc<str>>,
    expires_at: Timestamp,
    not_before: Timestamp,
}

/// What the claims are compared with.
#[derive(Debug)]
pub(super) struct Expectation<'a> {
    pub(super) issuer: &'a Issuer,
    pub(super) audience: &'a ResourceIndicator,
    pub(super) roles_claim: &'a [String],
    pub(super) now: Timestamp,
    pub(super) leeway: Duration,
}

impl VerifiedAccessToken {
    /// Judges the claims of a token whose signature was verified (RFC 9068 §4).
    pub(super) fn judge(
        claims: &Map<String, Value>,
        expected: &Expectation<'_>,
    ) -> Result<Arc<Self>, TokenError> {
        if text(claims, "iss")?.as_deref() != Some(expected.issuer.as_str()) {
            return Err(TokenError::UnknownIssuer);
        }
        // RFC 9068 §4: the audience must name this server. There is no fallback to `azp`.
        if !names_audience(claims.get("aud"), expected.audience.as_str())? {
            return Err(TokenError::Audience);
        }
        let expires_at = time(claims, "exp")?.ok_or(TokenError::Claim("exp"))?;
        let issued_at = time(claims, "iat")?.ok_or(TokenError::Claim("iat"))?;
        let not_before = time(claims, "nbf")?.map_or(issued_at, |nbf| nbf.max(issued_at));
        let token = Self {
            issuer: expected.issuer.clone(),
            subject: text(claims, "sub")?.ok_or(TokenError::Claim("sub"))?,
            client: match text(claims, "client_id")? {
                Some(client) => Some(client),
                None => text(claims, "azp")?,
            },
            scope: match claims.get("scope") {
                None => Scope::empty(),
                Some(Value::String(scope)) => {
                    scope.parse().map_err(|_| TokenError::Claim("scope"))?
                }
                Some(_) => return Err(TokenError::Claim("scope")),
            },
            roles: roles(claims, expected.roles_claim)?,
            username: text(claims, "preferred_username")?,
            email: text(claims, "email")?,
            email_verified: match claims.get("email_verified") {
                None => None,
                Some(Value::Bool(verified)) => Some(*verified),
                Some(_) => return Err(TokenError::Claim("email_verified")),
            },
            grant: text(claims, "grant_id")?.map(Arc::from),
            expires_at,
            not_before,
        };
        token.check_times(expected.now, expected.leeway)?;
        Ok(Arc::new(token))
    }

    /// Whether the token is still, and already, valid. A clock may be off by `leeway`.
    pub(super) fn check_times(&self, now: Timestamp, leeway: Duration) -> Result<(), TokenError> {
        if now >= self.expires_at.plus(leeway) {
            return Err(TokenError::Expired);
        }
        if self.not_before > now.plus(leeway) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }

    /// `iss`
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// `sub`
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `client_id`, else `azp`.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// `scope`
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The roles, from the claim configured for the issuer.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// `preferred_username`
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// `email`
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// `grant_id`: the decision of a person from which it came, in our own tokens.
    pub const fn grant(&self) -> Option<&Arc<str>> {
        self.grant.as_ref()
    }

    /// `email_verified`
    pub const fn email_verified(&self) -> Option<bool> {
        self.email_verified
    }

    /// `exp`
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// An optional text of bounded length, not empty.
fn text(claims: &Map<String, Value>, name: &'static str) -> Result<Option<String>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_IDENTIFIER_BYTES => {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(TokenError::Claim(name)),
    }
}

/// An optional `NumericDate` (RFC 7519 §2), in whole seconds.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, TokenError> {
    match claims.get(name).map(Value::as_i64) {
        None => Ok(None),
        Some(Some(seconds)) if (0..=LATEST).contains(&seconds) => {
            Ok(Some(Timestamp::from_seconds(seconds)))
        }
        Some(_) => Err(TokenError::Claim(name)),
    }
}

/// Whether `aud`, a text or a list of texts, names this server.
fn names_audience(claim: Option<&Value>, audience: &str) -> Result<bool, TokenError> {
    match claim {
        Some(Value::String(one)) => Ok(one == audience),
        Some(Value::Array(many)) if many.iter().all(Value::is_string) => {
            Ok(many.iter().any(|one| one.as_str() == Some(audience)))
        }
        None => Err(TokenError::Audience),
        Some(_) => Err(TokenError::Claim("aud")),
    }
}

/// The texts of the list at this path; no list there means no roles.
fn roles(claims: &Map<String, Value>, path: &[String]) -> Result<Vec<String>, TokenError> {
    let mut steps = path.iter();
    let first = steps.next().and_then(|name| claims.get(name));
    let found = steps.fold(first, |value, name| value.and_then(|value| value.get(name)));
    match found {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MAX_ROLES => list
            .iter()
            .map(|role| {
                role.as_str()
                    .map(str::to_owned)
                    .ok_or(TokenError::Claim("roles"))
            })
            .collect(),
        Some(_) => Err(TokenError::Claim("roles")),
    }
}
