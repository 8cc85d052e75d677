//! Access tokens (RFC 9068): strict verification.

mod claims;
mod unverified;
mod verifier;

pub use claims::{MAX_IDENTIFIER_BYTES, VerifiedAccessToken};
pub use unverified::UnverifiedToken;
pub use verifier::{TokenVerifier, VerifierSettings};

use crate::issuer::Issuer;

/// Why a token is refused. The variants are facts for our log; the caller learns `invalid_token`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a compact JWS with JSON objects inside, or too large.
    #[error("it is not a signed JWT")]
    Malformed,
    /// A header member that changes how the token is read: `crit`, `b64`, `zip`, `enc`, a key.
    #[error("its header has the member {0}, which is refused here")]
    HeaderMember(&'static str),
    /// `typ` is not that of an access token.
    #[error("its type is not one of an access token")]
    TokenType,
    /// `iss` is missing or not one of ours.
    #[error("its issuer is not trusted here")]
    UnknownIssuer,
    /// `alg` is not on the list for this issuer.
    #[error("its algorithm is not accepted from this issuer")]
    Algorithm,
    /// No key of the issuer has this `kid` and algorithm.
    #[error("its key is not published by the issuer")]
    UnknownKey,
    /// The signature does not match.
    #[error("its signature does not match")]
    Signature,
    /// A claim is missing or has the wrong JSON type or range.
    #[error("its claim {0} is missing or has the wrong form")]
    Claim(&'static str),
    /// `aud` does not name this server.
    #[error("it was issued for another resource")]
    Audience,
    /// `exp` has passed.
    #[error("it has expired")]
    Expired,
    /// `nbf` or `iat` lies ahead.
    #[error("it is not valid yet")]
    NotYetValid,
    /// No key of this issuer is known and none can be fetched now: our fault, not the caller's.
    #[error("no key of {0} is available")]
    KeysUnavailable(Issuer),
}

impl TokenError {
    /// The word under which it is counted.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::HeaderMember(_) => "header_member",
            Self::TokenType => "token_type",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claim(_) => "claim",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::KeysUnavailable(_) => "keys_unavailable",
        }
    }
}
