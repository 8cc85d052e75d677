//! When keys are replaced, and how long they stay published.

use std::time::Duration;

use portcullis_common::clock::Timestamp;
use portcullis_common::config::{AuthzConfig, SigningAlgorithm};

use super::JWKS_MAX_AGE;

/// How far the clocks of resource servers may be behind ours.
const CLOCK_LEEWAY: Duration = Duration::from_mins(1);

/// What the configuration says about signing keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyPolicy {
    /// The algorithm of new keys.
    pub(crate) algorithm: SigningAlgorithm,
    rotation: Duration,
    overlap: Duration,
}

impl KeyPolicy {
    /// Reads the policy.
    pub(crate) fn new(config: &AuthzConfig) -> Self {
        Self {
            algorithm: config.signing_alg,
            rotation: config.key_rotation,
            // The last token of a retired key lives for `access_token_ttl`, another replica may
            // have signed it a moment after the rotation, and verifiers may be slow to look.
            overlap: config.access_token_ttl + JWKS_MAX_AGE + CLOCK_LEEWAY,
        }
    }

    /// Until when a key that is retired now stays published.
    pub(crate) fn published_until(&self, now: Timestamp) -> Timestamp {
        now.plus(self.overlap)
    }

    /// Whether a key that began to sign then is due for replacement.
    pub(crate) fn is_due(&self, activated_at: Timestamp, now: Timestamp) -> bool {
        now.since(activated_at) >= self.rotation
    }
}
