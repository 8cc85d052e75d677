//! What every request shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use portcullis_common::audit::{Actor, AuditTrail, AuditUnavailable, Draft, Event};
use portcullis_common::clock::SharedClock;
use portcullis_common::config::Config;
use portcullis_common::entropy::{Entropy, SharedEntropy};
use portcullis_common::outbound::GuardedFetcher;
use portcullis_common::redis::SharedRedis;

use crate::accounts::{LoginLimit, PasswordPool};
use crate::clients::metadata_document::MetadataDocuments;
use crate::clients::registration::RegistrationGate;
use crate::clients::{ClientDirectory, ClientIdError};
use crate::endpoints::metadata;
use crate::keys::{KeyPolicy, KeyRing, KeyRingError, Sealing};
use crate::store::{ChangeCounters, Store, StoreError};

/// How long the question whether anything changed may take.
const POLL_TIMEOUT: Duration = Duration::from_millis(900);

/// Why the authorization server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// A client of the configuration has an impossible id.
    #[error("[[authz.clients]]: {0}")]
    ClientId(#[from] ClientIdError),
    /// The metadata could not be printed.
    #[error("the metadata could not be printed: {0}")]
    Metadata(#[from] serde_json::Error),
}

/// Why the authorization server cannot answer just now.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not answer lately, so what is in memory may be old.
    #[error("clients and keys in memory could not be confirmed by the store")]
    Unconfirmed,
    /// What would have to be recorded could not be.
    #[error(transparent)]
    Unrecorded(#[from] AuditUnavailable),
}

/// Whoever looks into why people had to log in again finds it in the log of every start.
async fn warn_of_restore(store: &Store) -> Result<(), StoreError> {
    let Some(restored_at) = store.find_last_restore().await? else {
        return Ok(());
    };
    let since = Duration::from_secs(restored_at.seconds().unsigned_abs());
    let restored_at = UNIX_EPOCH.checked_add(since).map(httpdate::fmt_http_date);
    tracing::warn!(
        restored_at,
        "the store was restored from a backup: grants and sessions of before have ended, and \
         people log in again"
    );
    Ok(())
}

/// What every request shares: configuration, clock, random source, store, and in memory the keys
/// and clients that the hot path needs. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Arc<Config>,
    clock: SharedClock,
    entropy: SharedEntropy,
    store: Store,
    keys: KeyRing,
    clients: ClientDirectory,
    registrations: RegistrationGate,
    metadata: Bytes,
    audit: AuditTrail,
    passwords: PasswordPool,
    logins: LoginLimit,
    secrets: LoginLimit,
    /// The counters as of the last time memory was brought up to date.
    seen: ArcSwap<ChangeCounters>,
    /// Whether the last look at the store succeeded.
    is_confirmed: AtomicBool,
}

impl AppState {
    /// Opens the store, brings its schema up to date, and loads or makes what requests need. Two
    /// processes that start together on one database end with the same keys. What strangers make the
    /// server fetch goes through `fetcher`; limits are shared with other replicas through `redis`.
    pub async fn open(
        config: Arc<Config>,
        clock: SharedClock,
        entropy: SharedEntropy,
        fetcher: GuardedFetcher,
        redis: Option<SharedRedis>,
        audit: AuditTrail,
    ) -> Result<Self, StartError> {
        let metadata = metadata::render(&config)?;
        let sealing = Sealing::new(config.authz.key_encryption_key.as_ref())?;
        let policy = KeyPolicy::new(&config.authz);
        let store = Store::open(&config.store, clock.as_ref()).await?;
        warn_of_restore(&store).await?;
        let documents =
            MetadataDocuments::new(&config.authz, fetcher, Arc::clone(&clock), redis.clone());
        let clients = ClientDirectory::new(&config.authz.clients, store.clone(), documents)?;
        // Read before what they count, so that no change falls between.
        let seen = store.load_change_counters().await?;
        let keys = (sealing, policy);
        let (keys, has_replaced) =
            KeyRing::open(keys, &store, clock.now(), entropy.as_ref()).await?;
        if has_replaced {
            record_rotation(&audit, keys.current().active.kid());
        }
        clients.replace(store.load_clients().await?);
        let limits = (config.authz.login_attempts, config.authz.login_window);
        let limit = |name| LoginLimit::new(name, limits.0, limits.1, redis.clone());
        let per_minute = config.authz.registration_per_minute;
        let registrations = RegistrationGate::new(per_minute, redis.clone());
        Ok(Self(Arc::new(Shared {
            passwords: PasswordPool::new(),
            logins: limit("logins"),
            secrets: limit("secrets"),
            config,
            clock,
            entropy,
            store,
            keys,
            clients,
            registrations,
            metadata,
            audit,
            seen: ArcSwap::from_pointee(seen),
            is_confirmed: AtomicBool::new(true),
        })))
    }

    /// Looks once whether clients or keys were changed by anybody, and brings memory up to date if
    /// so. [`crate::jobs::run`] does this every second.
    pub async fn refresh(&self) -> Result<(), KeyRingError> {
        let result = self.reload_changes().await;
        let was_confirmed = self.0.is_confirmed.swap(result.is_ok(), Ordering::Relaxed);
        match &result {
            Err(error) if was_confirmed => {
                tracing::error!(%error, "the store cannot be read; no tokens are issued");
            }
            Ok(()) if !was_confirmed => tracing::info!("the store can be read again"),
            _ => {}
        }
        result
    }

    async fn reload_changes(&self) -> Result<(), KeyRingError> {
        let shared = &self.0;
        let poll = tokio::time::timeout(POLL_TIMEOUT, shared.store.load_change_counters());
        let counters = poll.await.map_err(|_| {
            StoreError::Unavailable("the database did not answer in time".to_owned())
        })??;
        let seen = shared.seen.load_full();
        if counters.clients != seen.clients {
            shared.clients.replace(shared.store.load_clients().await?);
        }
        if counters.registrations != seen.registrations {
            shared.clients.forget_registered();
        }
        if counters.keys != seen.keys {
            let now = shared.clock.now();
            shared.keys.reload(&shared.store, now).await?;
        }
        if counters != *seen {
            shared.seen.store(Arc::new(counters));
        }
        Ok(())
    }

    /// Replaces the signing key if its time has come and drops keys whose tokens have all ended.
    pub async fn keep_keys(&self) -> Result<(), KeyRingError> {
        let shared = &self.0;
        let now = shared.clock.now();
        let kept = shared
            .keys
            .keep_up(&shared.store, now, shared.entropy.as_ref())
            .await?;
        if let Some(kid) = &kept.rotated_to {
            record_rotation(&shared.audit, kid);
        }
        if kept.has_changed {
            self.refresh().await?;
        }
        Ok(())
    }

    /// Takes away sessions and authorization requests whose time is over. [`crate::jobs::run`] does
    /// this every minute.
    pub async fn sweep_people(&self) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        self.0.store.sweep_people(now).await
    }

    /// Takes away what came of grants and has ended: codes, refresh tokens and kept answers, the
    /// grants themselves, and the list of revoked access tokens. [`crate::jobs::run`] does this
    /// every minute.
    pub async fn sweep_grants(&self) -> Result<(), StoreError> {
        let shared = &self.0;
        shared.store.sweep_grants(shared.clock.now()).await
    }

    /// Removes clients that registered themselves and were not used in time, and invitations that
    /// are over; a bounded number at once.
    pub async fn sweep_registrations(&self) -> Result<(), StoreError> {
        let shared = &self.0;
        let now = shared.clock.now();
        let registered_by = now.minus(shared.config.authz.unused_client_ttl);
        let swept = shared.store.sweep_registrations(registered_by, now).await?;
        if swept > 0 {
            shared.clients.forget_registered();
            tracing::info!(
                swept,
                "unused registrations and ended invitations are removed"
            );
        }
        Ok(())
    }

    /// Whether requests can be answered: the store answers within a second, and keys are there.
    pub async fn ready(&self) -> Result<(), NotReady> {
        match tokio::time::timeout(Duration::from_secs(1), self.0.store.ping()).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(NotReady::Unconfirmed),
        }
    }

    /// Whether what is in memory may be relied on. While the store cannot be read, a client that
    /// was removed or a key that was withdrawn would live on in memory alone.
    pub(crate) fn confirmed(&self) -> Result<(), NotReady> {
        if self.0.is_confirmed.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(NotReady::Unconfirmed)
        }
    }

    /// Whether what must be recorded may be done: without a trail always, with one while it can be
    /// written. To be asked before anything is consumed or changed.
    pub(crate) fn recordable(&self) -> Result<(), NotReady> {
        Ok(self.0.audit.check()?)
    }

    /// Begins a record of the audit trail.
    pub(crate) fn draft(&self, event: Event) -> Draft {
        self.0.audit.draft(event)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        self.0.entropy.as_ref()
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.0.keys
    }

    pub(crate) fn clients(&self) -> &ClientDirectory {
        &self.0.clients
    }

    pub(crate) fn passwords(&self) -> &PasswordPool {
        &self.0.passwords
    }

    pub(crate) fn logins(&self) -> &LoginLimit {
        &self.0.logins
    }

    /// How often the secret of a client that a person chose may be wrong.
    pub(crate) fn secrets(&self) -> &LoginLimit {
        &self.0.secrets
    }

    pub(crate) fn registrations(&self) -> &RegistrationGate {
        &self.0.registrations
    }

    pub(crate) fn metadata(&self) -> Bytes {
        self.0.metadata.clone()
    }
}

/// Records that another key signs from now on, without anybody's doing.
fn record_rotation(audit: &AuditTrail, kid: &str) {
    let mut record = audit.draft(Event::KeyRotated).by(Actor::Server);
    record.target(kid).succeed();
}
