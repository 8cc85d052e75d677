//! What an operator does with signing keys, beside a running server or without one.

use portcullis_common::clock::{Clock, Timestamp};
use portcullis_common::config::{AuthzConfig, SigningAlgorithm};
use portcullis_common::entropy::Entropy;

use super::sealing::Sealing;
use super::{KeyPolicy, KeyRingError, ring};
use crate::store::{KeyState, RotateKeys, SigningKeyRecord, Store};

/// A signing key as an operator may see it: everything but the private half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySummary {
    /// The key id, as it stands in tokens and in the published set.
    pub kid: String,
    /// The algorithm of its signatures.
    pub algorithm: SigningAlgorithm,
    /// Where it stands in its life.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When it ceased to sign.
    pub retired_at: Option<Timestamp>,
    /// When it leaves the published set.
    pub published_until: Option<Timestamp>,
}

impl From<SigningKeyRecord> for KeySummary {
    fn from(record: SigningKeyRecord) -> Self {
        Self {
            kid: record.kid,
            algorithm: record.algorithm,
            state: record.state,
            created_at: record.created_at,
            activated_at: record.activated_at,
            retired_at: record.retired_at,
            published_until: record.published_until,
        }
    }
}

/// Lists the keys: active, next, then retired ones, the youngest first. A store that no server has
/// used yet has none.
pub async fn list(store: &Store) -> Result<Vec<KeySummary>, KeyRingError> {
    let records = store.load_signing_keys().await?;
    Ok(records.into_iter().map(KeySummary::from).collect())
}

/// Lets the next key sign from now on, keeps the active one published while its tokens live, and
/// makes a new next one; then lists the keys. Running servers follow within a second.
pub async fn rotate(
    store: &Store,
    config: &AuthzConfig,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Vec<KeySummary>, KeyRingError> {
    let sealing = Sealing::new(config.key_encryption_key.as_ref())?;
    let policy = KeyPolicy::new(config);
    let now = clock.now();
    let prepared = ring::prepare(&sealing, &policy, store, now, entropy).await?;
    let records = prepared.records;
    match ring::rotate((&sealing, &policy), store, &records, now, entropy).await? {
        RotateKeys::Rotated => list(store).await,
        RotateKeys::Lost => Err(KeyRingError::Contended),
    }
}
