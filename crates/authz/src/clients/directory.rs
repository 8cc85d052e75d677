//! Where clients are found: those that operators made in memory, those that registered themselves in
//! the store, with a bounded memory in front, and those whose id is a URL in the document there.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_common::config::ClientConfig;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use super::metadata_document::{DocumentError, DocumentUrl, MetadataDocuments};
use super::{Client, ClientId, ClientIdError};
use crate::store::{Store, StoreError};

/// Most clients that registered themselves and are kept in memory.
const REMEMBERED: usize = 10_000;
/// How long a request with an unknown id waits until the store is asked about it.
const TURN: Duration = Duration::from_millis(500);

/// Why it cannot be said whether there is such a client, or why its document is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FindClientError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// All clients. Those that operators made are replaced as a whole when one of them changes; the
/// others may be millions, so they are looked up one by one.
#[derive(Debug)]
pub(crate) struct ClientDirectory {
    configured: Vec<Arc<Client>>,
    operated: ArcSwap<HashMap<String, Arc<Client>>>,
    store: Store,
    registered: Cache<String, Remembered>,
    /// Goes up when a registered client was changed or removed by anybody.
    generation: AtomicU64,
    /// `None` where metadata documents are switched off.
    documents: Option<MetadataDocuments>,
    /// One look at a time for a client that an operator may have made a moment ago.
    newcomers: Semaphore,
}

/// A client as the store had it in a generation. It counts only in that generation, so that a look
/// at the store that began before a change cannot outlive the change.
#[derive(Clone, Debug)]
struct Remembered {
    generation: u64,
    client: Arc<Client>,
}

impl ClientDirectory {
    /// Takes the clients of the configuration; those that operators made follow with
    /// [`Self::replace`].
    pub(crate) fn new(
        configured: &[ClientConfig],
        store: Store,
        documents: Option<MetadataDocuments>,
    ) -> Result<Self, ClientIdError> {
        let configured = configured
            .iter()
            .map(|config| Client::from_config(config).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let directory = Self {
            configured,
            operated: ArcSwap::default(),
            store,
            registered: Cache::new(REMEMBERED),
            generation: AtomicU64::new(0),
            documents,
            newcomers: Semaphore::new(1),
        };
        directory.replace(Vec::new());
        Ok(directory)
    }

    /// Replaces the clients that operators made. A client of the configuration hides a stored one of
    /// the same id, because the file is what the operator sees.
    pub(crate) fn replace(&self, stored: Vec<Client>) {
        let all = stored
            .into_iter()
            .map(Arc::new)
            .chain(self.configured.iter().map(Arc::clone))
            .map(|client| (client.id.as_str().to_owned(), client))
            .collect();
        self.operated.store(Arc::new(all));
    }

    /// Forgets what is remembered of clients that registered themselves, because one of them was
    /// changed or removed.
    pub(crate) fn forget_registered(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Finds a client by its id. What an id that is a URL leads to is fetched, at the expense of
    /// `source`.
    pub(crate) async fn find(
        &self,
        id: &str,
        source: IpAddr,
    ) -> Result<Option<Arc<Client>>, FindClientError> {
        match (&self.documents, DocumentUrl::parse(id)) {
            (Some(documents), Some(url)) => Ok(Some(documents.find(&url, source).await?)),
            (None, Some(_)) => Ok(None),
            (_, None) => Ok(self.find_kept(id).await?),
        }
    }

    /// Whether there is still a client of this id. A document is not fetched for that: what was
    /// granted to a client does not end because its host is down.
    pub(crate) async fn is_known(&self, id: &str) -> Result<bool, StoreError> {
        match DocumentUrl::parse(id) {
            Some(url) => Ok(self
                .documents
                .as_ref()
                .is_some_and(|documents| documents.accepts_host(&url))),
            None => Ok(self.find_kept(id).await?.is_some()),
        }
    }

    /// Finds a client that an operator made, or that registered itself. The store is asked only
    /// about ids that memory does not know.
    async fn find_kept(&self, id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        if let Some(client) = self.operated.load().get(id) {
            return Ok(Some(Arc::clone(client)));
        }
        let Ok(client_id) = ClientId::parse(id) else {
            return Ok(None);
        };
        let generation = self.generation.load(Ordering::SeqCst);
        let remembered = self.registered.get(id);
        if let Some(remembered) = remembered.filter(|one| one.generation == generation) {
            return Ok(Some(remembered.client));
        }
        let Some(client) = self.store.find_registered_client(&client_id).await? else {
            return self.find_newcomer(&client_id).await;
        };
        let client = Arc::new(client);
        let remembered = Remembered {
            generation,
            client: Arc::clone(&client),
        };
        self.registered.insert(id.to_owned(), remembered);
        Ok(Some(client))
    }

    /// Finds a client that an operator made since memory was brought up to date, so that it works
    /// at once. It is not remembered: within a second [`Self::replace`] brings it.
    ///
    /// Anybody can ask about invented ids. They take turns, so that a flood of them holds one
    /// connection to the store; whoever gets no turn in time is asked to come back.
    async fn find_newcomer(&self, id: &ClientId) -> Result<Option<Arc<Client>>, StoreError> {
        let Ok(Ok(_turn)) = tokio::time::timeout(TURN, self.newcomers.acquire()).await else {
            let cause = "too many unknown clients are looked up".to_owned();
            return Err(StoreError::Unavailable(cause));
        };
        // It may have come to memory while we waited.
        if let Some(client) = self.operated.load().get(id.as_str()) {
            return Ok(Some(Arc::clone(client)));
        }
        Ok(self.store.find_client(id).await?.map(Arc::new))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::clock::SystemClock;
    use portcullis_common::config::{MigrateMode, StoreConfig};

    use super::*;

    #[tokio::test]
    async fn one_unknown_client_at_a_time_is_looked_up_and_the_others_are_asked_to_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            url: format!("sqlite://{}/data/a.db", folder.path().display()),
            migrate: MigrateMode::Auto,
        };
        let store = Store::open(&config, &SystemClock).await.unwrap();
        let directory = ClientDirectory::new(&[], store, None).unwrap();
        let turn = directory.newcomers.acquire().await.unwrap();
        let refused = directory.find_kept("nobody").await;
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
        drop(turn);
        assert_eq!(
            directory.find_kept("nobody").await.unwrap().map(|_| ()),
            None
        );
    }
}
