//! Making access tokens (RFC 9068) and ID tokens. Issuing one writes nothing.

use portcullis_common::clock::Timestamp;
use portcullis_common::config::ResourceDeclaration;
use portcullis_common::entropy::random_text;
use portcullis_common::jws::KeyError;
use portcullis_common::scope::Scope;
use serde::Serialize;

use super::GrantError;
use super::refresh_token::RefreshToken;
use crate::clients::Client;
use crate::state::AppState;
use crate::store::GrantRecord;

portcullis_common::secret! {
    /// An access token.
    AccessToken
}

portcullis_common::secret! {
    /// An ID token (OpenID Connect Core 1.0 §2).
    IdToken
}

/// The header type of an access token (RFC 9068 §2.1).
pub(crate) const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// The header type of an ID token: never that of an access token, so that neither passes for the
/// other (RFC 8725 §3.11).
const ID_TOKEN_TYPE: &str = "JWT";
/// Stands before the client in the subject of its own tokens, so that no user can be meant
/// (RFC 9068 §5): the id of an account never contains a colon.
const CLIENT_SUBJECT: &str = "client:";
/// Random bytes of a token id.
const JTI_BYTES: usize = 16;

/// The claims of an access token, in the order in which they are printed.
#[derive(Debug, Serialize)]
struct AccessTokenClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: &'a str,
    client_id: &'a str,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_id: Option<&'a str>,
    #[serde(flatten)]
    identity: IdentityClaims<'a>,
}

/// What is said about a person, each part only with its scope (OpenID Connect Core 1.0 §5.4).
#[derive(Debug, Default, Serialize)]
pub(crate) struct IdentityClaims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
}

impl<'a> IdentityClaims<'a> {
    /// What a scope shows of the account behind a grant.
    pub(crate) fn of(grant: &'a GrantRecord, scope: &Scope) -> Self {
        let subject = &grant.subject;
        let email = subject.email.as_deref().filter(|_| scope.contains("email"));
        Self {
            preferred_username: scope
                .contains("profile")
                .then_some(subject.username.as_str()),
            email,
            email_verified: email.map(|_| subject.is_email_verified),
        }
    }
}

/// The claims of an ID token: who logged in, where, when, and nothing more.
#[derive(Debug, Serialize)]
struct IdTokenClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

/// What a token request is answered with (OAuth 2.1 §3.2.3).
#[derive(Clone, Debug)]
pub(crate) struct TokenResponse {
    pub(super) access_token: AccessToken,
    /// The end of the access token.
    pub(super) expires_at: Timestamp,
    /// How long that is from now, in seconds.
    pub(super) expires_in: u64,
    pub(super) scope: Scope,
    pub(super) refresh_token: Option<RefreshToken>,
    pub(super) id_token: Option<IdToken>,
}

impl TokenResponse {
    /// The answer as it is sent.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, GrantError> {
        #[derive(Serialize)]
        struct Wire<'a> {
            access_token: &'a str,
            token_type: &'static str,
            expires_in: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            refresh_token: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            id_token: Option<&'a str>,
            scope: &'a Scope,
        }
        let wire = Wire {
            access_token: self.access_token.expose(),
            token_type: "Bearer",
            expires_in: self.expires_in,
            refresh_token: self.refresh_token.as_ref().map(RefreshToken::expose),
            id_token: self.id_token.as_ref().map(IdToken::expose),
            scope: &self.scope,
        };
        serde_json::to_vec(&wire).map_err(|error| GrantError::Sign(KeyError::Sign(error.into())))
    }

    /// The same answer with a refresh token.
    pub(super) fn with_refresh_token(mut self, token: Option<RefreshToken>) -> Self {
        self.refresh_token = token;
        self
    }
}

/// Makes a token with which a client acts for itself.
pub(super) fn for_client(
    state: &AppState,
    client: &Client,
    resource: &ResourceDeclaration,
    scope: &Scope,
) -> Result<TokenResponse, GrantError> {
    let client_id = client.id.as_str();
    let what = What {
        sub: &[CLIENT_SUBJECT, client_id].concat(),
        aud: resource.identifier.as_str(),
        client_id,
        scope,
        grant: None,
    };
    issue(state, &what)
}

/// Makes a token with which a client acts for the person behind a grant, and with the scope
/// `openid` an ID token.
pub(super) fn for_user(
    state: &AppState,
    grant: &GrantRecord,
    scope: &Scope,
    nonce: Option<&str>,
) -> Result<TokenResponse, GrantError> {
    let what = What {
        sub: grant.subject.account_id.as_str(),
        aud: grant.resource.as_str(),
        client_id: grant.client_id.as_str(),
        scope,
        grant: Some(grant),
    };
    let mut response = issue(state, &what)?;
    if scope.contains("openid") {
        response.id_token = Some(id_token(state, grant, nonce)?);
    }
    Ok(response)
}

/// What an access token says beside issuer, times and id.
struct What<'a> {
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    scope: &'a Scope,
    grant: Option<&'a GrantRecord>,
}

fn issue(state: &AppState, what: &What<'_>) -> Result<TokenResponse, GrantError> {
    let authz = &state.config().authz;
    let now = state.clock().now();
    let expires_at = now.plus(authz.access_token_ttl);
    let identity = |grant| IdentityClaims::of(grant, what.scope);
    let claims = AccessTokenClaims {
        iss: authz.issuer.as_str(),
        sub: what.sub,
        aud: what.aud,
        exp: expires_at.seconds(),
        iat: now.seconds(),
        jti: &random_text::<JTI_BYTES>(state.entropy())?,
        client_id: what.client_id,
        scope: &what.scope.to_string(),
        roles: what.grant.map(|grant| [grant.subject.role.name()]),
        grant_id: what.grant.map(|grant| grant.id.as_str()),
        identity: what.grant.map(identity).unwrap_or_default(),
    };
    let active = &state.keys().current().active;
    let token = active.sign_compact(ACCESS_TOKEN_TYPE, &claims)?;
    Ok(TokenResponse {
        access_token: AccessToken::new(token),
        expires_at,
        expires_in: authz.access_token_ttl.as_secs(),
        scope: what.scope.clone(),
        refresh_token: None,
        id_token: None,
    })
}

fn id_token(
    state: &AppState,
    grant: &GrantRecord,
    nonce: Option<&str>,
) -> Result<IdToken, GrantError> {
    let authz = &state.config().authz;
    let now = state.clock().now();
    let claims = IdTokenClaims {
        iss: authz.issuer.as_str(),
        sub: grant.subject.account_id.as_str(),
        aud: grant.client_id.as_str(),
        exp: now.plus(authz.access_token_ttl).seconds(),
        iat: now.seconds(),
        auth_time: grant.auth_time.seconds(),
        nonce,
    };
    let active = &state.keys().current().active;
    let token = active.sign_compact(ID_TOKEN_TYPE, &claims)?;
    Ok(IdToken::new(token))
}
