//! What the product can reach: the issuers of the test and nothing else.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use portcullis_common::fetch::{FetchError, FetchRequest, Fetcher};

use crate::issuer::TestIssuer;

/// Answers for the issuers of a test, and notes every address that was asked for.
#[derive(Debug)]
pub struct TestNetwork {
    issuers: Vec<TestIssuer>,
    asked: Mutex<Vec<String>>,
}

impl TestNetwork {
    /// A network with these issuers in it.
    pub fn new(issuers: impl Into<Vec<TestIssuer>>) -> Arc<Self> {
        Arc::new(Self {
            issuers: issuers.into(),
            asked: Mutex::default(),
        })
    }

    /// The issuers in it.
    pub fn issuers(&self) -> &[TestIssuer] {
        &self.issuers
    }

    /// Every address that was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// How often the key set of this issuer was fetched.
    pub fn key_set_fetches(&self, issuer: &TestIssuer) -> usize {
        let uri = issuer.jwks_uri();
        self.asked().iter().filter(|url| **url == uri).count()
    }
}

#[async_trait]
impl Fetcher for TestNetwork {
    async fn fetch(&self, request: FetchRequest<'_>) -> Result<Vec<u8>, FetchError> {
        let url = request.url.to_owned();
        self.asked.lock().unwrap().push(url.clone());
        // A real fetch takes its time: whoever waits for it waits across other tasks' turns.
        tokio::task::yield_now().await;
        let issuer = self.issuers.iter().find(|issuer| {
            let origin = url::Url::parse(issuer.identifier()).unwrap().origin();
            url.starts_with(&origin.ascii_serialization())
        });
        let Some(issuer) = issuer else {
            let cause = "no such name".to_owned();
            return Err(FetchError::Unreachable { url, cause });
        };
        issuer.document(&url).map(String::into_bytes)
    }
}
