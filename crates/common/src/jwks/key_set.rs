//! A published set of keys (RFC 7517 §5).

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::jws::VerifyingKey;
use crate::strict_json;

/// Most keys read from one set.
const MAX_KEYS: usize = 100;

/// Why a document is not a key set that helps us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkSetError {
    /// Not JSON, or no list `keys`.
    #[error("it is not a JWK set")]
    Malformed,
    /// More than 100 keys.
    #[error("it has more than 100 keys")]
    TooMany,
    /// Not one key that can verify our tokens.
    #[error("it has no key that can verify a token here")]
    NoUsableKey,
}

/// The usable keys of one set, by key id.
#[derive(Debug)]
pub struct KeySet {
    keys: HashMap<String, Vec<Arc<VerifyingKey>>>,
}

impl KeySet {
    /// Reads a set. Keys that cannot verify are passed over (RFC 7517 §5), but one must be left.
    pub fn parse(document: &[u8]) -> Result<Self, JwkSetError> {
        let members = strict_json::parse_object(document).map_err(|_| JwkSetError::Malformed)?;
        let list = members
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(JwkSetError::Malformed)?;
        if list.len() > MAX_KEYS {
            return Err(JwkSetError::TooMany);
        }
        let mut keys: HashMap<String, Vec<Arc<VerifyingKey>>> = HashMap::new();
        for key in list
            .iter()
            .filter_map(|jwk| VerifyingKey::from_jwk(jwk).ok())
            .flatten()
        {
            keys.entry(key.kid().to_owned())
                .or_default()
                .push(Arc::new(key));
        }
        if keys.is_empty() {
            return Err(JwkSetError::NoUsableKey);
        }
        Ok(Self { keys })
    }

    /// The key with this id for this algorithm.
    pub fn find(&self, kid: &str, algorithm: &str) -> Option<&Arc<VerifyingKey>> {
        self.keys
            .get(kid)?
            .iter()
            .find(|key| key.algorithm_name() == algorithm)
    }
}
