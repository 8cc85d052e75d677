//! An issuer in memory: keys of every algorithm, a published set, and tokens of every kind.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use portcullis_common::clock::Timestamp;
use portcullis_common::config::SigningAlgorithm;
use portcullis_common::fetch::FetchError;
use portcullis_common::issuer::Issuer;
use portcullis_common::jws::SigningKey;
use serde_json::{Value, json};

use crate::token::TokenDraft;

/// How long the tokens of a test issuer live, in seconds.
pub const TOKEN_LIFETIME: i64 = 600;

/// An issuer in memory. Cloning shares it.
#[derive(Clone, Debug)]
pub struct TestIssuer {
    identifier: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    signing: SigningKey,
    published: Published,
    is_down: bool,
}

/// What stands in the published set.
#[derive(Debug)]
enum Published {
    Keys(Vec<SigningKey>),
    Text(String),
}

/// A key of this algorithm, one per number and process: making RSA keys is slow.
pub fn key(algorithm: SigningAlgorithm, number: u8) -> SigningKey {
    static KEYS: LazyLock<Mutex<HashMap<(&'static str, u8), SigningKey>>> =
        LazyLock::new(Mutex::default);
    let mut keys = KEYS.lock().unwrap();
    keys.entry((algorithm.name(), number))
        .or_insert_with(|| SigningKey::generate(algorithm).unwrap())
        .clone()
}

impl TestIssuer {
    /// An issuer that publishes one ES256 key and signs with it.
    pub fn new(identifier: &str) -> Self {
        let signing = key(SigningAlgorithm::Es256, 0);
        Self {
            identifier: identifier.to_owned(),
            state: Arc::new(Mutex::new(State {
                published: Published::Keys(vec![signing.clone()]),
                signing,
                is_down: false,
            })),
        }
    }

    /// Its identifier.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// The key that signs now.
    pub fn signing_key(&self) -> SigningKey {
        self.state.lock().unwrap().signing.clone()
    }

    /// Signs with this key from now on; whether it is published is another matter.
    pub fn sign_with(&self, key: SigningKey) {
        self.state.lock().unwrap().signing = key;
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: impl Into<Vec<SigningKey>>) {
        self.state.lock().unwrap().published = Published::Keys(keys.into());
    }

    /// Publishes this text where the key set should be.
    pub fn publish_text(&self, text: &str) {
        self.state.lock().unwrap().published = Published::Text(text.to_owned());
    }

    /// Answers nothing any more.
    pub fn go_down(&self) {
        self.state.lock().unwrap().is_down = true;
    }

    /// Answers again.
    pub fn come_back(&self) {
        self.state.lock().unwrap().is_down = false;
    }

    /// Where its key set stands.
    pub fn jwks_uri(&self) -> String {
        format!("{}/jwks", self.identifier)
    }

    /// The draft of a person's token for this resource, issued at this time.
    pub fn token(&self, audience: &str, now: Timestamp) -> TokenDraft {
        let claims = json!({
            "iss": self.identifier,
            "sub": "ann",
            "client_id": "inspector",
            "aud": audience,
            "scope": "mcp:read mcp:write",
            "iat": now.seconds(),
            "exp": now.seconds() + TOKEN_LIFETIME,
            "jti": "token-1",
        });
        TokenDraft::new(self.signing_key(), claims)
    }

    /// What it answers at this URL.
    pub(crate) fn document(&self, url: &str) -> Result<String, FetchError> {
        let state = self.state.lock().unwrap();
        let url = || url.to_owned();
        if state.is_down {
            let cause = "connection refused".to_owned();
            return Err(FetchError::Unreachable { url: url(), cause });
        }
        if url() == self.jwks_uri() {
            return Ok(state.published.text());
        }
        if Issuer::parse(&self.identifier)
            .unwrap()
            .metadata_urls()
            .contains(&url())
        {
            let metadata = json!({ "issuer": self.identifier, "jwks_uri": self.jwks_uri() });
            return Ok(metadata.to_string());
        }
        Err(FetchError::Status {
            url: url(),
            status: 404,
        })
    }
}

impl Published {
    fn text(&self) -> String {
        match self {
            Self::Keys(keys) => {
                let keys: Vec<&Value> = keys.iter().map(SigningKey::public_jwk).collect();
                json!({ "keys": keys }).to_string()
            }
            Self::Text(text) => text.clone(),
        }
    }
}
