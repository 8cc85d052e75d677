//! One copy of a key set for all replicas, in Redis.

use std::time::Duration;

use async_trait::async_trait;

use super::source::MAX_KEY_SET;
use super::{DiscoveryError, KeySet, KeySource, LoadedKeys, PublishedKeys};
use crate::clock::{SharedClock, Timestamp};
use crate::config::JwksCacheConfig;
use crate::issuer::Issuer;
use crate::redis::SharedRedis;
use crate::secret::SecretHash;

/// The keys of one issuer, fetched by whichever replica needs them first.
///
/// A copy younger than the cooldown is taken as it is, so that all replicas together ask no more
/// often than one. A copy that is still good stands in while the issuer is away, also for a replica
/// that starts then. Without Redis each replica fetches for itself.
#[derive(Debug)]
pub struct SharedKeys {
    own: PublishedKeys,
    redis: SharedRedis,
    key: String,
    config: JwksCacheConfig,
    clock: SharedClock,
}

/// The copy, and when a replica fetched it.
struct SharedCopy {
    set: KeySet,
    fetched_at: Timestamp,
}

impl SharedKeys {
    /// Shares what `own` fetches with all replicas of this Redis.
    pub fn new(
        own: PublishedKeys,
        issuer: &Issuer,
        redis: SharedRedis,
        (config, clock): (JwksCacheConfig, SharedClock),
    ) -> Self {
        let key = format!("jwks:{}", SecretHash::of(issuer.as_str()).to_hex());
        Self {
            own,
            redis,
            key,
            config,
            clock,
        }
    }

    fn age(&self, copy: &SharedCopy) -> Duration {
        self.clock.now().since(copy.fetched_at)
    }

    /// The copy of another replica, or of ours from before. One from the future is none: the clock
    /// of a replica may not keep an old set young for ever.
    async fn find(&self) -> Option<SharedCopy> {
        let value = self.redis.find(&self.key).await.ok()??;
        let copy = SharedCopy::parse(&value)?;
        let latest = self.clock.now().plus(self.config.cooldown);
        (copy.fetched_at <= latest).then_some(copy)
    }

    async fn share(&self, document: &[u8]) {
        let fetched_at = self.clock.now().seconds().to_string();
        let value = [fetched_at.as_bytes(), b"\n", document].concat();
        let life = self.config.ttl + self.config.stale_for;
        if self.redis.set(&self.key, &value, life).await.is_err() {
            tracing::debug!("a key set is not shared: Redis is away");
        }
    }
}

impl SharedCopy {
    /// Seconds, a line break, and the document as the issuer sent it.
    fn parse(value: &[u8]) -> Option<Self> {
        if value.len() > MAX_KEY_SET + 32 {
            return None;
        }
        let position = value.iter().position(|byte| *byte == b'\n')?;
        let (fetched_at, document) = value.split_at_checked(position)?;
        let fetched_at = std::str::from_utf8(fetched_at).ok()?.parse().ok()?;
        Some(Self {
            set: KeySet::parse(document.trim_ascii_start()).ok()?,
            fetched_at: Timestamp::from_seconds(fetched_at),
        })
    }
}

#[async_trait]
impl KeySource for SharedKeys {
    async fn load(&self) -> Result<LoadedKeys, DiscoveryError> {
        let shared = self.find().await;
        let loaded = |copy: SharedCopy| LoadedKeys {
            age: self.age(&copy),
            set: copy.set,
        };
        let cooldown = self.config.cooldown.min(self.config.ttl);
        match shared {
            Some(copy) if self.age(&copy) < cooldown => Ok(loaded(copy)),
            shared => match self.own.load_document().await {
                Ok((set, document)) => {
                    self.share(&document).await;
                    Ok(LoadedKeys::fresh(set))
                }
                Err(error) => {
                    let copy = shared.ok_or(error)?;
                    tracing::debug!("the issuer does not answer; the shared key set stands in");
                    Ok(loaded(copy))
                }
            },
        }
    }
}
