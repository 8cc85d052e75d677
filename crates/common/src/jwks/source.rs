//! Where a key set comes from: the issuer's metadata, then its `jwks_uri`.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use url::Url;

use super::{JwkSetError, KeySet};
use crate::config::IssuerConfig;
use crate::fetch::{FetchError, FetchRequest, SharedFetcher};
use crate::issuer::is_https_or_loopback;
use crate::strict_json;

/// Largest metadata document, in bytes.
const MAX_METADATA: usize = 64 * 1024;
/// Largest key set, in bytes.
pub(super) const MAX_KEY_SET: usize = 256 * 1024;

/// Why an issuer's keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// No metadata in any of its places; the last refusal.
    #[error("no metadata: {0}")]
    Metadata(#[source] FetchError),
    /// The metadata is not a JSON object with a usable `jwks_uri`.
    #[error("the metadata at {0} has no usable jwks_uri")]
    NoJwksUri(String),
    /// The metadata names another issuer (RFC 8414 §3.3).
    #[error("the metadata at {url} names the issuer {found}, not {expected}")]
    IssuerMismatch {
        /// Where the metadata stands.
        url: String,
        /// The issuer it names.
        found: String,
        /// The issuer it must name.
        expected: String,
    },
    /// The key set could not be fetched.
    #[error("no key set: {0}")]
    KeySet(#[source] FetchError),
    /// The key set cannot be used.
    #[error("the key set at {url}: {cause}")]
    BadKeySet {
        /// Where it stands.
        url: String,
        /// What is wrong with it.
        cause: JwkSetError,
    },
}

/// Gives the current key set of one issuer.
#[async_trait]
pub trait KeySource: Send + Sync + Debug {
    /// Fetches the set.
    async fn load(&self) -> Result<LoadedKeys, DiscoveryError>;
}

/// A set that was fetched, maybe by somebody else and a while ago.
#[derive(Debug)]
pub struct LoadedKeys {
    /// The set.
    pub set: KeySet,
    /// How long ago the issuer gave it away.
    pub age: Duration,
}

impl LoadedKeys {
    /// A set that has just come from the issuer.
    pub const fn fresh(set: KeySet) -> Self {
        let age = Duration::ZERO;
        Self { set, age }
    }
}

/// The keys that an issuer publishes over HTTP.
#[derive(Debug)]
pub struct PublishedKeys {
    issuer: IssuerConfig,
    fetcher: SharedFetcher,
    timeout: Duration,
}

impl PublishedKeys {
    /// Looks at this issuer; each fetch may take `timeout`.
    pub fn new(issuer: IssuerConfig, fetcher: SharedFetcher, timeout: Duration) -> Self {
        Self {
            issuer,
            fetcher,
            timeout,
        }
    }

    /// The set, and the document it stands in.
    pub(super) async fn load_document(&self) -> Result<(KeySet, Vec<u8>), DiscoveryError> {
        let (url, metadata) = self.metadata().await?;
        let url = self.jwks_uri(&url, &metadata)?;
        let document = self
            .fetch(&url, MAX_KEY_SET)
            .await
            .map_err(DiscoveryError::KeySet)?;
        match KeySet::parse(&document) {
            Ok(set) => Ok((set, document)),
            Err(cause) => Err(DiscoveryError::BadKeySet { url, cause }),
        }
    }

    async fn fetch(&self, url: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        self.fetcher
            .fetch(FetchRequest {
                url,
                timeout: self.timeout,
                limit,
            })
            .await
    }

    /// The metadata, from the first of its places that answers.
    async fn metadata(&self) -> Result<(String, Vec<u8>), DiscoveryError> {
        let mut last = None;
        for url in self.metadata_urls() {
            match self.fetch(&url, MAX_METADATA).await {
                Ok(body) => return Ok((url, body)),
                // A server that does not answer at all will not answer at its other places.
                Err(error @ FetchError::Unreachable { .. }) => {
                    return Err(DiscoveryError::Metadata(error));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => DiscoveryError::Metadata(error),
            None => DiscoveryError::NoJwksUri(self.issuer.issuer.to_string()),
        })
    }

    fn metadata_urls(&self) -> Vec<String> {
        let urls = self.issuer.issuer.metadata_urls();
        match self
            .issuer
            .internal_url
            .as_deref()
            .and_then(|text| Url::parse(text).ok())
        {
            None => urls,
            Some(internal) => {
                let ours = Url::parse(self.issuer.issuer.as_str());
                let origin = ours
                    .map(|url| url.origin().ascii_serialization())
                    .unwrap_or_default();
                let inside = internal.origin().ascii_serialization();
                urls.iter()
                    .map(|url| url.replacen(&origin, &inside, 1))
                    .collect()
            }
        }
    }

    /// RFC 8414 §3.3: metadata that names another issuer must not be used. The address of the keys
    /// comes from it, moved to the internal address where one is configured.
    fn jwks_uri(&self, url: &str, document: &[u8]) -> Result<String, DiscoveryError> {
        let unusable = || DiscoveryError::NoJwksUri(url.to_owned());
        let metadata = strict_json::parse_object(document).map_err(|_| unusable())?;
        let member = |name: &str| metadata.get(name).and_then(Value::as_str);
        let found = member("issuer").unwrap_or_default();
        if found != self.issuer.issuer.as_str() {
            return Err(DiscoveryError::IssuerMismatch {
                url: url.to_owned(),
                found: found.chars().take(200).collect(),
                expected: self.issuer.issuer.to_string(),
            });
        }
        let uri = member("jwks_uri")
            .and_then(|text| Url::parse(text).ok())
            .ok_or_else(unusable)?;
        let Some(internal) = self.issuer.internal_url.as_deref() else {
            return if is_https_or_loopback(&uri) {
                Ok(uri.into())
            } else {
                Err(unusable())
            };
        };
        let inside = Url::parse(internal).map_err(|_| unusable())?;
        let rest = uri
            .as_str()
            .get(uri.origin().ascii_serialization().len()..)
            .unwrap_or_default();
        Ok(format!("{}{rest}", inside.origin().ascii_serialization()))
    }
}

#[async_trait]
impl KeySource for PublishedKeys {
    async fn load(&self) -> Result<LoadedKeys, DiscoveryError> {
        let (set, _) = self.load_document().await?;
        Ok(LoadedKeys::fresh(set))
    }
}
