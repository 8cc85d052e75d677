//! Signing keys: made at the first start, rotated by command and by the clock, published while a
//! token they signed may live.
//!
//! The store holds the keys of all processes; each process signs with what it last read there, and
//! reads again when the change counter moves.

pub mod admin;
mod policy;
mod ring;
mod sealing;

use portcullis_common::jws;

use crate::store::StoreError;

pub(crate) use policy::KeyPolicy;
pub(crate) use ring::KeyRing;
pub(crate) use sealing::Sealing;

/// How long others may remember our published keys (`Cache-Control: max-age`).
pub const JWKS_MAX_AGE: std::time::Duration = std::time::Duration::from_mins(5);

/// What can go wrong with signing keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key could not be made or read.
    #[error(transparent)]
    Key(#[from] jws::KeyError),
    /// The public half of a key of ours cannot verify.
    #[error("a public key of ours cannot be read back: {0}")]
    Public(#[from] jws::JwkError),
    /// The random source failed.
    #[error(transparent)]
    Entropy(#[from] portcullis_common::entropy::EntropyError),
    /// `key_encryption_key` is not 32 bytes.
    #[error(
        "[authz] key_encryption_key must be 32 bytes, written as base64 or as 64 hexadecimal digits"
    )]
    EncryptionKeyForm,
    /// The store has sealed keys, and nothing to open them with is configured.
    #[error(
        "the private keys in the store are encrypted; set [authz] key_encryption_key to the key \
         they were encrypted with"
    )]
    EncryptionKeyMissing,
    /// The store's keys were sealed with another key.
    #[error(
        "the private keys in the store are encrypted with another key than the configured [authz] \
         key_encryption_key"
    )]
    EncryptionKeyWrong,
    /// The stored text of a private key is none that this program writes.
    #[error("the private key {kid} in the store cannot be read")]
    Unreadable {
        /// The key id.
        kid: String,
    },
    /// Another process keeps changing the keys at the same moment.
    #[error("the signing keys were changed by another process at the same moment; try again")]
    Contended,
    /// The store has no active key.
    #[error("there is no active signing key in the store")]
    NoActiveKey,
}
