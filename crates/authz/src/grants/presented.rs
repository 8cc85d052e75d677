//! Access tokens that come back to the server that issued them.

use portcullis_common::clock::Timestamp;
use portcullis_common::scope::Scope;
use serde::Deserialize;

use super::approval::GrantId;
use super::issue::ACCESS_TOKEN_TYPE;
use crate::state::AppState;
use crate::store::StoreError;

/// The claims that we put into access tokens.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    iat: i64,
    jti: String,
    client_id: String,
    scope: String,
    #[serde(default)]
    roles: Vec<String>,
    grant_id: Option<String>,
    preferred_username: Option<String>,
}

/// An access token that this server issued and whose time is not over. Whether it was revoked is
/// another question: [`Self::stands`].
#[derive(Debug)]
#[must_use]
pub(crate) struct PresentedAccessToken {
    claims: Claims,
    scope: Scope,
    grant_id: Option<GrantId>,
}

impl PresentedAccessToken {
    /// Verifies signature, type, issuer and end.
    pub(crate) fn verify(state: &AppState, text: &str) -> Option<Self> {
        let payload = state.keys().current().verify(ACCESS_TOKEN_TYPE, text)?;
        let mut claims: Claims = serde_json::from_slice(&payload).ok()?;
        if claims.iss != state.config().authz.issuer.as_str() {
            return None;
        }
        if claims.exp <= state.clock().now().seconds() {
            return None;
        }
        Some(Self {
            scope: claims.scope.parse().ok()?,
            grant_id: claims.grant_id.take().map(GrantId::from_stored),
            claims,
        })
    }

    /// Whether it was not revoked, its grant lives, its account is enabled, and its client still
    /// exists.
    pub(crate) async fn stands(&self, state: &AppState) -> Result<bool, StoreError> {
        if !state.clients().is_known(&self.claims.client_id).await? {
            return Ok(false);
        }
        let store = state.store();
        store
            .access_token_stands(&self.claims.jti, self.grant_id.as_ref())
            .await
    }

    /// `sub`
    pub(crate) fn subject(&self) -> &str {
        &self.claims.sub
    }

    /// `aud`
    pub(crate) fn audience(&self) -> &str {
        &self.claims.aud
    }

    /// `client_id`
    pub(crate) fn client_id(&self) -> &str {
        &self.claims.client_id
    }

    /// `jti`
    pub(crate) fn id(&self) -> &str {
        &self.claims.jti
    }

    /// `exp`
    pub(crate) fn expires_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.claims.exp)
    }

    /// `iat`
    pub(crate) fn issued_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.claims.iat)
    }

    /// `scope`
    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// `roles`
    pub(crate) fn roles(&self) -> &[String] {
        &self.claims.roles
    }

    /// `preferred_username`
    pub(crate) fn username(&self) -> Option<&str> {
        self.claims.preferred_username.as_deref()
    }

    /// The grant it came from; a client's own token came from none.
    pub(crate) const fn grant_id(&self) -> Option<&GrantId> {
        self.grant_id.as_ref()
    }
}
