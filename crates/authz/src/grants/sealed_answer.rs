//! The answer to a refresh, kept so that whoever lost it gets the same one again.
//!
//! The key is derived from the text of the token that was rotated, which nobody but its owner has:
//! the store alone opens nothing.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use portcullis_common::clock::Timestamp;
use portcullis_common::entropy::{Entropy, EntropyError};
use portcullis_common::scope::Scope;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::TokenResponse;
use super::approval::GrantId;
use super::issue::{AccessToken, IdToken};
use super::refresh_token::RefreshToken;

/// Separates this use of the token's text from any other.
const PURPOSE: &[u8] = b"portcullis refresh answer 1";

/// Why an answer could not be kept, or cannot be read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("the answer to a refresh could not be sealed")]
    Seal,
    #[error("the kept answer to a refresh cannot be read")]
    Open,
}

/// An answer as it lies in the store. Its `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SealedAnswer(String);

impl SealedAnswer {
    /// Takes what the store kept.
    pub(crate) fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text for the store: nonce, ciphertext and tag as base64.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SealedAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SealedAnswer")
    }
}

/// What is inside.
#[derive(Serialize, Deserialize)]
struct Contents {
    access_token: String,
    expires_at: i64,
    scope: String,
    refresh_token: String,
    id_token: Option<String>,
}

impl Drop for Contents {
    fn drop(&mut self) {
        self.access_token.zeroize();
        self.refresh_token.zeroize();
        self.id_token.zeroize();
    }
}

/// Seals an answer under the token that it was given for; the grant is bound to it.
pub(super) fn seal(
    response: &TokenResponse,
    predecessor: &RefreshToken,
    grant: &GrantId,
    entropy: &dyn Entropy,
) -> Result<SealedAnswer, SealError> {
    let successor = response.refresh_token.as_ref().ok_or(SealError::Seal)?;
    let contents = Contents {
        access_token: response.access_token.expose().to_owned(),
        expires_at: response.expires_at.seconds(),
        scope: response.scope.to_string(),
        refresh_token: successor.expose().to_owned(),
        id_token: response
            .id_token
            .as_ref()
            .map(|token| token.expose().to_owned()),
    };
    let mut buffer = Zeroizing::new(serde_json::to_vec(&contents).map_err(|_| SealError::Seal)?);
    let mut nonce = [0_u8; NONCE_LEN];
    entropy.fill(&mut nonce)?;
    let key = derive(predecessor).ok_or(SealError::Seal)?;
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(grant.as_str().as_bytes()),
            &mut buffer,
        )
        .map_err(|_| SealError::Seal)?;
    let bytes = [nonce.as_slice(), buffer.as_slice(), tag.as_ref()].concat();
    Ok(SealedAnswer(STANDARD_NO_PAD.encode(bytes)))
}

/// Opens a kept answer; `expires_in` is counted from now.
pub(super) fn open(
    answer: &SealedAnswer,
    predecessor: &RefreshToken,
    grant: &GrantId,
    now: Timestamp,
) -> Result<TokenResponse, SealError> {
    let bytes = STANDARD_NO_PAD
        .decode(&answer.0)
        .map_err(|_| SealError::Open)?;
    let (nonce, ciphertext) = bytes
        .split_first_chunk::<NONCE_LEN>()
        .ok_or(SealError::Open)?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let key = derive(predecessor).ok_or(SealError::Open)?;
    let plain = key
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(grant.as_str().as_bytes()),
            &mut buffer,
        )
        .map_err(|_| SealError::Open)?;
    let contents: Contents = serde_json::from_slice(plain).map_err(|_| SealError::Open)?;
    let expires_at = Timestamp::from_seconds(contents.expires_at);
    Ok(TokenResponse {
        access_token: AccessToken::new(contents.access_token.as_str()),
        expires_at,
        expires_in: expires_at.since(now).as_secs(),
        scope: contents
            .scope
            .parse::<Scope>()
            .map_err(|_| SealError::Open)?,
        refresh_token: Some(RefreshToken::new(contents.refresh_token.as_str())),
        id_token: contents.id_token.as_deref().map(IdToken::new),
    })
}

/// RFC 5869: the token has 256 random bits, so no salt is needed.
fn derive(token: &RefreshToken) -> Option<LessSafeKey> {
    let pseudorandom = Salt::new(HKDF_SHA256, &[]).extract(token.expose().as_bytes());
    let purpose = [PURPOSE];
    let key = pseudorandom.expand(&purpose, &AES_256_GCM).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(key)))
}
