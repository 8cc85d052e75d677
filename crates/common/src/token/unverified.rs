//! What may be read of a token before its signature is verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::TokenError;
use crate::strict_json;

/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Header members that would change how the token is read. RFC 7515 §4.1.11 (`crit`), RFC 7797
/// (`b64`), RFC 8725 §3.10 (keys that a token brings along), RFC 7516 (`enc`, `zip`).
const REFUSED_MEMBERS: [&str; 8] = ["crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"];

/// The header and the issuer of a token that nobody has verified; there is nothing else in it, so
/// that nothing else can be trusted by mistake.
#[derive(Debug)]
pub struct UnverifiedToken<'a> {
    /// The whole token.
    pub(super) text: &'a str,
    /// `alg`
    pub(super) algorithm: String,
    /// `typ` in lower case and without `application/`.
    pub(super) token_type: String,
    /// `kid`
    pub(super) kid: String,
    /// `iss`
    pub(super) issuer: String,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads the header and the issuer.
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(_signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let header = object(header)?;
        if let Some(name) = REFUSED_MEMBERS
            .iter()
            .find(|name| header.contains_key(**name))
        {
            return Err(TokenError::HeaderMember(name));
        }
        let member = |name: &str| header.get(name).and_then(Value::as_str).map(str::to_owned);
        let token_type = member("typ")
            .ok_or(TokenError::TokenType)?
            .to_ascii_lowercase();
        let issuer = object(payload)?.remove("iss");
        Ok(Self {
            text,
            algorithm: member("alg").ok_or(TokenError::Algorithm)?,
            token_type: token_type
                .strip_prefix("application/")
                .unwrap_or(&token_type)
                .to_owned(),
            // RFC 9068 leaves `kid` open; without it any key of the issuer would have to be tried.
            kid: member("kid").ok_or(TokenError::UnknownKey)?,
            issuer: match issuer {
                Some(Value::String(issuer)) => issuer,
                _ => return Err(TokenError::UnknownIssuer),
            },
        })
    }

    /// `typ` in lower case and without `application/`.
    pub fn token_type(&self) -> &str {
        &self.token_type
    }

    /// `kid`
    pub fn key_id(&self) -> &str {
        &self.kid
    }
}

/// A base64url part that holds a JSON object.
fn object(part: &str) -> Result<Map<String, Value>, TokenError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)?;
    strict_json::parse_object(&bytes).map_err(|_| TokenError::Malformed)
}
