//! The clients in memory: what the token endpoint asks instead of the store.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_common::config::ClientConfig;

use super::{Client, ClientIdError};

/// All clients that operators made, replaced as a whole when one of them changes.
#[derive(Debug)]
pub(crate) struct ClientDirectory {
    configured: Vec<Arc<Client>>,
    all: ArcSwap<HashMap<String, Arc<Client>>>,
}

impl ClientDirectory {
    /// Takes the clients of the configuration; the stored ones follow with [`Self::replace`].
    pub(crate) fn new(configured: &[ClientConfig]) -> Result<Self, ClientIdError> {
        let configured = configured
            .iter()
            .map(|config| Client::from_config(config).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let directory = Self {
            configured,
            all: ArcSwap::default(),
        };
        directory.replace(Vec::new());
        Ok(directory)
    }

    /// Replaces the stored clients. A client of the configuration hides a stored one of the same
    /// id, because the file is what the operator sees.
    pub(crate) fn replace(&self, stored: Vec<Client>) {
        let all = stored
            .into_iter()
            .map(Arc::new)
            .chain(self.configured.iter().map(Arc::clone))
            .map(|client| (client.id.as_str().to_owned(), client))
            .collect();
        self.all.store(Arc::new(all));
    }

    /// Finds a client by its id, without a lock and without the store.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Client>> {
        self.all.load().get(id).map(Arc::clone)
    }
}
