//! Clients that are described by a document of their own (Client ID Metadata Document): their id is
//! the https URL at which the document stands.
//!
//! Whoever sends an authorization request makes us fetch that URL, so a fetch is guarded, bounded in
//! size, time and number, and never repeated while one is under way. Nothing in a document is
//! fetched in turn. What could not be had is never remembered.

mod document;
mod error;
mod flights;
mod freshness;
mod url;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::clock::{SharedClock, Timestamp};
use portcullis_common::config::AuthzConfig;
use portcullis_common::outbound::{GuardedFetchError, GuardedFetcher, GuardedLimits};
use portcullis_common::redis::SharedRedis;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::Client;
use super::window::SharedWindow;
use crate::limiter::Refused;
use flights::{Flights, Outcome};

pub(crate) use error::{DocumentError, DocumentFault};
pub(crate) use url::DocumentUrl;

/// Largest document, in bytes (Client ID Metadata Document §6.6 advises 5 KB).
const MAX_BYTES: usize = 5 * 1024;
/// Longest time until a document is there, with the wait for a slot and the look-up of the name.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Most fetches that are open at once.
const SLOTS: usize = 16;
/// Most fetches that one source causes in a minute.
const PER_SOURCE: u32 = 30;
/// Most fetches in a minute, from all sources together.
const CEILING: u32 = 300;
/// Most documents that are remembered.
const REMEMBERED: usize = 1000;

/// The documents, with a bounded memory of those that may be remembered.
#[derive(Debug)]
pub(crate) struct MetadataDocuments {
    fetcher: GuardedFetcher,
    clock: SharedClock,
    hosts: Vec<String>,
    private_schemes: Vec<String>,
    cache_bounds: (Duration, Duration),
    remembered: Cache<String, Remembered>,
    flights: Flights,
    window: SharedWindow,
    slots: Semaphore,
}

/// A client as its document described it, and until when that holds.
#[derive(Clone, Debug)]
struct Remembered {
    client: Arc<Client>,
    expires_at: Timestamp,
}

impl MetadataDocuments {
    /// What `[authz] cimd…` says; `None` where it is off.
    pub(crate) fn new(
        config: &AuthzConfig,
        fetcher: GuardedFetcher,
        clock: SharedClock,
        redis: Option<SharedRedis>,
    ) -> Option<Self> {
        config.cimd.then(|| Self {
            fetcher,
            clock,
            hosts: config.cimd_hosts.clone(),
            private_schemes: config.private_schemes.clone(),
            cache_bounds: (config.cimd_cache_min, config.cimd_cache_max),
            remembered: Cache::new(REMEMBERED),
            flights: Flights::default(),
            window: SharedWindow::new("documents", PER_SOURCE, CEILING, redis),
            slots: Semaphore::new(SLOTS),
        })
    }

    /// Whether documents of this host are accepted.
    pub(crate) fn accepts_host(&self, url: &DocumentUrl) -> bool {
        let is_own = |host: &String| *host == url.host() || host == url.host_name();
        self.hosts.is_empty() || self.hosts.iter().any(is_own)
    }

    /// The client that the document at this URL describes. `source` is who made us look.
    pub(crate) async fn find(
        &self,
        url: &DocumentUrl,
        source: IpAddr,
    ) -> Result<Arc<Client>, DocumentError> {
        if !self.accepts_host(url) {
            return Err(DocumentFault::HostNotAccepted.at(url));
        }
        if let Some(client) = self.recall(url) {
            return Ok(client);
        }
        let joined = self.flights.join(url.as_str());
        let outcome = joined.outcome(|| self.set_out(url, source)).await?;
        outcome.map_err(|fault| fault.at(url))
    }

    fn recall(&self, url: &DocumentUrl) -> Option<Arc<Client>> {
        let remembered = self.remembered.get(url.as_str())?;
        (self.clock.now() < remembered.expires_at).then_some(remembered.client)
    }

    /// Fetches, unless too much was fetched already: that is the fault of this source alone, and
    /// others who wait for the same document may try on their own account.
    async fn set_out(&self, url: &DocumentUrl, source: IpAddr) -> Result<Outcome, DocumentError> {
        // Another flight may have ended between the look into memory and this one.
        if let Some(client) = self.recall(url) {
            return Ok(Ok(client));
        }
        let admitted = self.window.admit(source, self.clock.now()).await;
        admitted.map_err(|refused| {
            let fault = match refused {
                Refused::Limit(retry_after) => DocumentFault::TooMany { retry_after },
                Refused::Away(away) => DocumentFault::LimiterAway(away),
            };
            fault.at(url)
        })?;
        Ok(self.fetch(url).await)
    }

    async fn fetch(&self, url: &DocumentUrl) -> Outcome {
        let deadline = Instant::now() + TIMEOUT;
        let Ok(Ok(_slot)) = timeout_at(deadline, self.slots.acquire()).await else {
            let retry_after = Duration::from_secs(1);
            return Err(DocumentFault::TooMany { retry_after });
        };
        let limits = GuardedLimits {
            timeout: deadline.saturating_duration_since(Instant::now()),
            body: MAX_BYTES,
        };
        let response = match self.fetcher.get(url.as_url(), limits).await {
            Ok(response) => response,
            Err(GuardedFetchError::TooLarge) => return Err(DocumentFault::TooLarge),
            Err(error) => return Err(DocumentFault::NotHad(error.to_string())),
        };
        let now = self.clock.now();
        let client = document::read(url, &response, &self.private_schemes, now)?;
        let client = Arc::new(client);
        if let Some(lifetime) = freshness::lifetime(&response.headers, now, self.cache_bounds) {
            let remembered = Remembered {
                client: Arc::clone(&client),
                expires_at: now.plus(lifetime),
            };
            self.remembered.insert(url.as_str().to_owned(), remembered);
        }
        tracing::debug!(client.id = url.as_str(), "a metadata document was fetched");
        Ok(client)
    }
}
