//! What a person approved, and the code by which the client fetches it.

use portcullis_common::clock::Timestamp;
use portcullis_common::entropy::{Entropy, EntropyError, random_text};
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::Scope;

use crate::accounts::AccountId;
use crate::clients::ClientId;

portcullis_common::secret! {
    /// An authorization code (OAuth 2.1 §4.1.2): 256 random bits, used once.
    AuthorizationCode => CodeHash
}

/// Random bytes of a grant id.
const GRANT_ID_BYTES: usize = 16;

/// The id of a grant: random, and no secret; it stands in tokens as `grant_id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GrantId(String);

impl GrantId {
    /// Makes a new one.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        random_text::<GRANT_ID_BYTES>(entropy).map(Self)
    }

    /// Takes an id as the store or a verified token has it.
    pub(crate) fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text is not an S256 challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code challenge is 43 characters of base64url")]
pub(crate) struct CodeChallengeError;

/// The S256 challenge of a client (RFC 7636 §4.2): SHA-256 as base64url without padding.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct CodeChallenge(String);

impl CodeChallenge {
    /// Reads a challenge; a hash of 32 bytes has one length and one alphabet.
    pub(crate) fn parse(text: &str) -> Result<Self, CodeChallengeError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.len() != 43 || !text.bytes().all(allowed) {
            return Err(CodeChallengeError);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CodeChallenge {
    type Error = CodeChallengeError;

    fn try_from(text: String) -> Result<Self, CodeChallengeError> {
        Self::parse(&text)
    }
}

impl From<CodeChallenge> for String {
    fn from(challenge: CodeChallenge) -> Self {
        challenge.0
    }
}

/// What a person allowed a client, complete: everything the code is bound to.
#[derive(Clone, Debug)]
pub(crate) struct Approval {
    pub(crate) grant_id: GrantId,
    pub(crate) account_id: AccountId,
    pub(crate) client_id: ClientId,
    pub(crate) resource: ResourceIndicator,
    /// What was ticked; never more than was shown.
    pub(crate) scope: Scope,
    /// Where the answer goes: the matched URI, as it was asked for.
    pub(crate) redirect_uri: String,
    pub(crate) code_challenge: CodeChallenge,
    pub(crate) nonce: Option<String>,
    /// When the person logged in (OpenID Connect Core §2, `auth_time`).
    pub(crate) auth_time: Timestamp,
    /// False when offline access was offered and the person unticked it.
    pub(crate) allows_refresh: bool,
}

/// The times of an approval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApprovalTimes {
    pub(crate) now: Timestamp,
    /// No refresh token of the grant outlives this.
    pub(crate) grant_expires_at: Timestamp,
    pub(crate) code_expires_at: Timestamp,
    /// Until then the code is kept, so that a replay can be told from a guess.
    pub(crate) code_forgotten_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_has_one_length_and_one_alphabet() {
        assert!(CodeChallenge::parse(&"aZ0-_".repeat(9)[..43]).is_ok());
        for wrong in [
            "",
            &"a".repeat(42),
            &"a".repeat(44),
            &"a".repeat(129),
            &format!("{}=", "a".repeat(42)),
            &format!("{}+", "a".repeat(42)),
            &format!("{} ", "a".repeat(42)),
            &format!("{}ä", "a".repeat(41)),
        ] {
            assert_eq!(
                CodeChallenge::parse(wrong),
                Err(CodeChallengeError),
                "{wrong}"
            );
        }
    }
}
