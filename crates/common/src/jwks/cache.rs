//! The cache of one issuer's keys.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::{KeySet, KeySource, LoadedKeys};
use crate::clock::{SharedClock, Timestamp};
use crate::config::JwksCacheConfig;
use crate::issuer::Issuer;
use crate::jws::VerifyingKey;

/// What a search for a key found.
#[derive(Clone, Debug)]
pub enum KeyLookup {
    /// The key.
    Found(Arc<VerifyingKey>),
    /// The issuer publishes no such key.
    Unknown,
    /// No set is at hand and none can be had now.
    Unavailable,
}

/// What the copy at hand says about a key, without fetching anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The copy may be used as it is, and it has the key.
    FreshAndKnown,
    /// Anything else: ask [`JwksCache::key`].
    AskAgain,
}

/// The keys of one issuer. Cloning shares the copy.
#[derive(Clone)]
pub struct JwksCache(Arc<Inner>);

struct Inner {
    issuer: Issuer,
    config: JwksCacheConfig,
    source: Box<dyn KeySource>,
    clock: SharedClock,
    copy: ArcSwapOption<Copy>,
    fetches: Mutex<Fetches>,
}

/// A set with the time at which it was published to us.
struct Copy {
    set: KeySet,
    fetched_at: Timestamp,
}

/// The one fetch under way, and when the last one began.
#[derive(Default)]
struct Fetches {
    under_way: Option<watch::Receiver<bool>>,
    last_began: Option<Timestamp>,
    last_failed: bool,
}

/// How the age of the copy is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    /// Over three quarters of its life: fetched again in the background, so that nobody waits.
    Ageing,
    Old,
    Dead,
}

impl JwksCache {
    /// An empty cache; nothing is fetched before the first question or [`Self::keep_warm`].
    pub fn new(
        issuer: Issuer,
        config: JwksCacheConfig,
        source: Box<dyn KeySource>,
        clock: SharedClock,
    ) -> Self {
        let fetches = Mutex::default();
        let copy = ArcSwapOption::empty();
        Self(Arc::new(Inner {
            issuer,
            config,
            source,
            clock,
            copy,
            fetches,
        }))
    }

    /// Whose keys these are.
    pub fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    /// Whether a set is at hand that may be used.
    pub fn is_ready(&self) -> bool {
        self.0
            .copy
            .load()
            .as_ref()
            .is_some_and(|copy| self.0.age(copy) != Age::Dead)
    }

    /// What the copy at hand says about a key; costs two loads and a look-up.
    pub fn peek(&self, kid: &str, algorithm: &str) -> Freshness {
        match &*self.0.copy.load() {
            Some(copy) if self.0.is_servable(copy) && copy.set.find(kid, algorithm).is_some() => {
                Freshness::FreshAndKnown
            }
            _ => Freshness::AskAgain,
        }
    }

    /// Finds a key, fetching the set when it is old or does not have the key, at most once per
    /// cooldown.
    pub async fn key(&self, kid: &str, algorithm: &str) -> KeyLookup {
        if let Some(key) = self.0.find_in_fresh_copy(kid, algorithm) {
            return KeyLookup::Found(key);
        }
        if let Some(mut fetch) = self.begin_fetch() {
            // The sender lives as long as the fetch; an error means that it has ended.
            let _ended = fetch.wait_for(|ended| *ended).await;
        }
        match &*self.0.copy.load() {
            Some(copy) if self.0.age(copy) != Age::Dead => match copy.set.find(kid, algorithm) {
                Some(key) => KeyLookup::Found(Arc::clone(key)),
                None => KeyLookup::Unknown,
            },
            _ => KeyLookup::Unavailable,
        }
    }

    /// Fetches the set when there is none or when it ages; called once a second by a job, so that
    /// calls seldom wait for a fetch.
    pub async fn keep_warm(&self) {
        let is_fresh = self
            .0
            .copy
            .load()
            .as_ref()
            .is_some_and(|copy| self.0.age(copy) == Age::Fresh);
        if !is_fresh && let Some(mut fetch) = self.begin_fetch() {
            let _ended = fetch.wait_for(|ended| *ended).await;
        }
    }

    /// Joins the fetch under way or begins one, unless the last one began within the cooldown.
    ///
    /// The fetch is a task of its own: a caller that goes away does not end it for the others.
    fn begin_fetch(&self) -> Option<watch::Receiver<bool>> {
        let now = self.0.clock.now();
        let mut fetches = self
            .0
            .fetches
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A closed channel is a fetch that died; it must not stop the next one.
        if let Some(under_way) = &fetches.under_way
            && under_way.has_changed().is_ok()
        {
            return Some(under_way.clone());
        }
        if self.0.cools_down(&fetches, now) {
            return None;
        }
        let (ended, under_way) = watch::channel(false);
        fetches.last_began = Some(now);
        fetches.under_way = Some(under_way.clone());
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            inner.fetch().await;
            ended.send_replace(true);
        });
        Some(under_way)
    }
}

impl Inner {
    fn find_in_fresh_copy(&self, kid: &str, algorithm: &str) -> Option<Arc<VerifyingKey>> {
        let copy = self.copy.load();
        let copy = copy.as_ref().filter(|copy| self.is_servable(copy))?;
        copy.set.find(kid, algorithm).cloned()
    }

    /// Whether the copy may be used without waiting for a fetch: it is not old, or it is old but
    /// the issuer was asked and did not answer.
    fn is_servable(&self, copy: &Copy) -> bool {
        match self.age(copy) {
            Age::Fresh | Age::Ageing => true,
            Age::Old => {
                let fetches = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
                fetches.last_failed && self.cools_down(&fetches, self.clock.now())
            }
            Age::Dead => false,
        }
    }

    /// Whether the last fetch began too recently for another one. A set may always be fetched again
    /// when its life is over, so a life shorter than the cooldown shortens the cooldown.
    fn cools_down(&self, fetches: &Fetches, now: Timestamp) -> bool {
        let cooldown = self.config.cooldown.min(self.config.ttl);
        // A clock that was set back must not stop fetches for as long as it was set back.
        fetches
            .last_began
            .is_some_and(|began| began <= now && now.since(began) < cooldown)
    }

    fn age(&self, copy: &Copy) -> Age {
        let age = self.clock.now().since(copy.fetched_at);
        match self.config {
            JwksCacheConfig { ttl, .. } if age < ttl.mul_f32(0.75) => Age::Fresh,
            JwksCacheConfig { ttl, .. } if age < ttl => Age::Ageing,
            JwksCacheConfig { ttl, stale_for, .. } if age < ttl + stale_for => Age::Old,
            JwksCacheConfig { .. } => Age::Dead,
        }
    }

    async fn fetch(&self) {
        let loaded = self.source.load().await;
        // A set that is as old as ours may get says that the issuer did not answer.
        let failed = !matches!(&loaded, Ok(loaded) if loaded.age < self.config.ttl);
        match loaded {
            Ok(LoadedKeys { set, age }) => {
                let fetched_at = self.clock.now().minus(age);
                // The copy of another replica may be older than ours. What the issuer itself says
                // counts in any case, also after the clock was set back.
                let own = self.copy.load_full();
                if age.is_zero() || own.is_none_or(|own| own.fetched_at <= fetched_at) {
                    self.copy.store(Some(Arc::new(Copy { set, fetched_at })));
                }
                tracing::debug!(issuer = %self.issuer, ?age, "key set fetched");
            }
            Err(error) => {
                tracing::warn!(
                    issuer = %self.issuer,
                    %error,
                    "key set not fetched; the last good one stays in use while it may"
                );
            }
        }
        let mut fetches = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        fetches.last_failed = failed;
        fetches.under_way = None;
    }
}

impl fmt::Debug for JwksCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "JwksCache({})", self.0.issuer)
    }
}

#[cfg(test)]
mod tests;
