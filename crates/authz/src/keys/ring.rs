//! The keys in memory: one that signs, and the set that is published.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use portcullis_common::clock::Timestamp;
use portcullis_common::entropy::Entropy;
use portcullis_common::jws::{SigningKey, VerifyingKey};
use portcullis_common::token::UnverifiedToken;
use serde_json::json;

use super::sealing::Sealing;
use super::{KeyPolicy, KeyRingError};
use crate::store::{KeyState, NewSigningKey, RotateKeys, SigningKeyRecord, Store};

/// How often a change that another process won is looked at again.
const ATTEMPTS: u32 = 3;

/// The keys of this process, replaced as a whole when they change.
pub(crate) struct KeyRing {
    sealing: Sealing,
    policy: KeyPolicy,
    current: ArcSwap<KeySet>,
}

/// Keys as they were at one moment.
pub(crate) struct KeySet {
    /// The key that signs.
    pub(crate) active: SigningKey,
    /// The published set (RFC 7517 §5), ready to be sent.
    pub(crate) jwks: Bytes,
    /// The published keys, ready to verify.
    verifying: Vec<VerifyingKey>,
    /// What the store said.
    records: Vec<SigningKeyRecord>,
}

/// What [`KeyRing::keep_up`] did.
pub(crate) struct KeptUp {
    /// Whether the store has other keys now than this process.
    pub(crate) has_changed: bool,
    /// The key that signs from now on, if this process made it so.
    pub(crate) rotated_to: Option<String>,
}

impl KeyRing {
    /// Loads the keys of the store; makes them if there are none, and others if the configured
    /// algorithm is not the one that signs: then the answer is `true` beside the keys.
    pub(crate) async fn open(
        (sealing, policy): (Sealing, KeyPolicy),
        store: &Store,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Self, bool), KeyRingError> {
        let prepared = prepare(&sealing, &policy, store, now, entropy).await?;
        let current = KeySet::new(prepared.records, &sealing, now)?;
        let ring = Self {
            sealing,
            policy,
            current: ArcSwap::from_pointee(current),
        };
        Ok((ring, prepared.has_replaced))
    }

    /// The keys as they are now, without a lock and without the store.
    pub(crate) fn current(&self) -> Arc<KeySet> {
        self.current.load_full()
    }

    /// Reads the keys again.
    pub(crate) async fn reload(&self, store: &Store, now: Timestamp) -> Result<(), KeyRingError> {
        let records = store.load_signing_keys().await?;
        let fresh = KeySet::new(records, &self.sealing, now)?;
        self.current.store(Arc::new(fresh));
        Ok(())
    }

    /// Replaces the active key if its time has come, and drops retired ones whose tokens have all
    /// ended. Asks the store only if there is something to do.
    pub(crate) async fn keep_up(
        &self,
        store: &Store,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<KeptUp, KeyRingError> {
        let set = self.current();
        let begun = set.live(KeyState::Active).and_then(|key| key.activated_at);
        let is_due = begun.is_some_and(|begun| self.policy.is_due(begun, now));
        let has_ended = |key: &SigningKeyRecord| key.published_until.is_some_and(|end| end <= now);
        let is_over = set.records.iter().any(has_ended);
        let mut rotated_to = None;
        if is_over {
            store.sweep_signing_keys(now).await?;
        }
        if is_due {
            let keys = (&self.sealing, &self.policy);
            // Whoever wins, the key was replaced; the winner says so.
            let outcome = rotate(keys, store, &set.records, now, entropy).await?;
            let next = set.live(KeyState::Next).map(|key| key.kid.clone());
            rotated_to = next.filter(|_| outcome == RotateKeys::Rotated);
        }
        Ok(KeptUp {
            has_changed: is_due || is_over,
            rotated_to,
        })
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("KeyRing")
            .field(&self.current().active)
            .finish()
    }
}

impl KeySet {
    fn new(
        records: Vec<SigningKeyRecord>,
        sealing: &Sealing,
        now: Timestamp,
    ) -> Result<Self, KeyRingError> {
        let is_published =
            |record: &&SigningKeyRecord| record.published_until.is_none_or(|end| end > now);
        let mut active = None;
        let mut keys = Vec::with_capacity(records.len());
        let mut verifying = Vec::with_capacity(records.len());
        for record in records.iter().filter(is_published) {
            let pkcs8 = sealing.open(&record.kid, &record.private_key)?;
            let key = SigningKey::from_pkcs8(record.algorithm, pkcs8.to_vec())?;
            verifying.extend(VerifyingKey::from_jwk(key.public_jwk())?);
            keys.push(key.public_jwk().clone());
            if record.state == KeyState::Active {
                active = Some(key);
            }
        }
        Ok(Self {
            active: active.ok_or(KeyRingError::NoActiveKey)?,
            jwks: Bytes::from(json!({ "keys": keys }).to_string()),
            verifying,
            records,
        })
    }

    /// The payload of a token that one of the published keys has signed, if its header says it is
    /// of this type.
    pub(crate) fn verify(&self, token_type: &str, token: &str) -> Option<Vec<u8>> {
        let unverified = UnverifiedToken::parse(token).ok()?;
        if unverified.token_type() != token_type {
            return None;
        }
        let mut keys = self.verifying.iter();
        let key = keys.find(|key| key.kid() == unverified.key_id())?;
        key.verify_compact(token).ok()
    }

    fn live(&self, state: KeyState) -> Option<&SigningKeyRecord> {
        find(&self.records, state)
    }
}

fn find(records: &[SigningKeyRecord], state: KeyState) -> Option<&SigningKeyRecord> {
    records.iter().find(|record| record.state == state)
}

/// What a server or a command starts from.
pub(super) struct Prepared {
    pub(super) records: Vec<SigningKeyRecord>,
    /// Whether we replaced keys of another algorithm.
    has_replaced: bool,
}

/// Brings the store to where a server can start: keys are there, of the configured algorithm, and
/// sealed if they should be.
pub(super) async fn prepare(
    sealing: &Sealing,
    policy: &KeyPolicy,
    store: &Store,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Prepared, KeyRingError> {
    let mut has_replaced = false;
    for _ in 0..ATTEMPTS {
        let records = store.load_signing_keys().await?;
        let Some(active) = find(&records, KeyState::Active) else {
            let (active, next) = (
                generate(sealing, policy, entropy)?,
                generate(sealing, policy, entropy)?,
            );
            // Whoever was first, the keys are there now.
            store.initialise_signing_keys(active, next, now).await?;
            continue;
        };
        if active.algorithm != policy.algorithm {
            // Opened first: who cannot read the old keys must not replace them.
            sealing.open(&active.kid, &active.private_key)?;
            let fresh = (
                generate(sealing, policy, entropy)?,
                generate(sealing, policy, entropy)?,
            );
            let until = policy.published_until(now);
            let outcome = store
                .replace_signing_keys(active.kid.clone(), fresh, now, until)
                .await?;
            has_replaced |= outcome == RotateKeys::Rotated;
            continue;
        }
        reseal(sealing, store, &records, entropy).await?;
        return Ok(Prepared {
            records,
            has_replaced,
        });
    }
    Err(KeyRingError::Contended)
}

/// Seals keys that were written before an encryption key was configured.
async fn reseal(
    sealing: &Sealing,
    store: &Store,
    records: &[SigningKeyRecord],
    entropy: &dyn Entropy,
) -> Result<(), KeyRingError> {
    for record in records {
        if sealing.wants_sealing(&record.private_key) {
            let pkcs8 = sealing.open(&record.kid, &record.private_key)?;
            let sealed = sealing.seal(&record.kid, &pkcs8, entropy)?;
            store
                .reseal_signing_key(record.kid.clone(), record.private_key.clone(), sealed)
                .await?;
        }
    }
    Ok(())
}

/// Replaces the active key of these records by their next one.
pub(super) async fn rotate(
    (sealing, policy): (&Sealing, &KeyPolicy),
    store: &Store,
    records: &[SigningKeyRecord],
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<RotateKeys, KeyRingError> {
    let kid = |state| {
        find(records, state)
            .map(|record| record.kid.clone())
            .ok_or(KeyRingError::NoActiveKey)
    };
    let named = (kid(KeyState::Active)?, kid(KeyState::Next)?);
    let fresh = generate(sealing, policy, entropy)?;
    let until = policy.published_until(now);
    Ok(store.rotate_signing_keys(named, fresh, now, until).await?)
}

fn generate(
    sealing: &Sealing,
    policy: &KeyPolicy,
    entropy: &dyn Entropy,
) -> Result<NewSigningKey, KeyRingError> {
    let key = SigningKey::generate(policy.algorithm)?;
    Ok(NewSigningKey {
        private_key: sealing.seal(key.kid(), key.pkcs8(), entropy)?,
        kid: key.kid().to_owned(),
        algorithm: policy.algorithm,
    })
}
