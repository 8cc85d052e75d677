//! Making access tokens (RFC 9068). Issuing one writes nothing.

use portcullis_common::config::ResourceDeclaration;
use portcullis_common::entropy::random_text;
use portcullis_common::jws::KeyError;
use portcullis_common::scope::Scope;
use serde::Serialize;

use super::GrantError;
use crate::clients::Client;
use crate::state::AppState;

portcullis_common::secret! {
    /// An access token.
    AccessToken
}

/// The header type of an access token (RFC 9068 §2.1).
const TYPE: &str = "at+jwt";
/// Stands before the client in the subject of its own tokens, so that no user can be meant
/// (RFC 9068 §5): the name of an account never contains a colon.
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
}

/// What a token request is answered with (OAuth 2.1 §3.2.3).
#[derive(Debug)]
pub(crate) struct TokenResponse {
    access_token: AccessToken,
    expires_in: u64,
    scope: String,
}

impl TokenResponse {
    /// The answer as it is sent.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, GrantError> {
        #[derive(Serialize)]
        struct Wire<'a> {
            access_token: &'a str,
            token_type: &'static str,
            expires_in: u64,
            scope: &'a str,
        }
        let wire = Wire {
            access_token: self.access_token.expose(),
            token_type: "Bearer",
            expires_in: self.expires_in,
            scope: &self.scope,
        };
        serde_json::to_vec(&wire).map_err(|error| GrantError::Sign(KeyError::Sign(error.into())))
    }
}

/// Makes a token with which a client acts for itself.
pub(super) fn for_client(
    state: &AppState,
    client: &Client,
    resource: &ResourceDeclaration,
    scope: &Scope,
) -> Result<TokenResponse, GrantError> {
    let authz = &state.config().authz;
    let now = state.clock().now();
    let scope = scope.to_string();
    let client_id = client.id.as_str();
    let claims = AccessTokenClaims {
        iss: authz.issuer.as_str(),
        sub: &[CLIENT_SUBJECT, client_id].concat(),
        aud: resource.identifier.as_str(),
        exp: now.plus(authz.access_token_ttl).seconds(),
        iat: now.seconds(),
        jti: &random_text::<JTI_BYTES>(state.entropy())?,
        client_id,
        scope: &scope,
    };
    let token = state.keys().current().active.sign_compact(TYPE, &claims)?;
    Ok(TokenResponse {
        access_token: AccessToken::new(token),
        expires_in: authz.access_token_ttl.as_secs(),
        scope,
    })
}
