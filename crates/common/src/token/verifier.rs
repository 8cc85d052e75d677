//! The verifier: from text to proof.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;

use super::claims::Expectation;
use super::{TokenError, UnverifiedToken, VerifiedAccessToken};
use crate::clock::SharedClock;
use crate::config::IssuerConfig;
use crate::jwks::{Freshness, JwksCache, KeyLookup};
use crate::resource_indicator::ResourceIndicator;
use crate::secret::SecretHash;
use crate::strict_json;

/// How many verified tokens are remembered.
const REMEMBERED_TOKENS: usize = 20_000;

/// What a verifier is made of.
#[derive(Debug)]
pub struct VerifierSettings {
    /// Our identifier, which `aud` must name.
    pub audience: ResourceIndicator,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// The issuers we trust, each with its keys.
    pub issuers: Vec<(IssuerConfig, JwksCache)>,
    /// The clock.
    pub clock: SharedClock,
}

/// Verifies access tokens of several issuers and remembers the verified ones by their SHA-256, so
/// that a repeated token costs a hash instead of a signature.
pub struct TokenVerifier {
    settings: VerifierSettings,
    remembered: Cache<SecretHash, Remembered>,
}

/// A verified token with the key it stands on: it falls with that key.
#[derive(Clone)]
struct Remembered {
    token: Arc<VerifiedAccessToken>,
    issuer: usize,
    kid: Arc<str>,
    algorithm: &'static str,
}

impl TokenVerifier {
    /// Makes a verifier that remembers nothing yet.
    pub fn new(settings: VerifierSettings) -> Self {
        Self {
            settings,
            remembered: Cache::new(REMEMBERED_TOKENS),
        }
    }

    /// The issuers we trust, each with its keys.
    pub fn issuers(&self) -> impl Iterator<Item = (&IssuerConfig, &JwksCache)> {
        self.settings
            .issuers
            .iter()
            .map(|(config, keys)| (config, keys))
    }

    /// Verifies a token from the `Authorization` header.
    pub async fn verify(&self, text: &str) -> Result<Arc<VerifiedAccessToken>, TokenError> {
        let hash = SecretHash::of(text);
        if let Some(remembered) = self.remembered.get(&hash) {
            if self.still_stands(&remembered) {
                remembered
                    .token
                    .check_times(self.settings.clock.now(), self.settings.leeway)?;
                return Ok(remembered.token);
            }
            self.remembered.remove(&hash);
        }
        let remembered = self.verify_afresh(text).await?;
        let token = Arc::clone(&remembered.token);
        self.remembered.insert(hash, remembered);
        Ok(token)
    }

    /// How long a verified token still counts, leeway included.
    pub fn time_left(&self, token: &VerifiedAccessToken) -> Duration {
        let end = token.expires_at().plus(self.settings.leeway);
        end.since(self.settings.clock.now())
    }

    /// Whether the key is still published, as far as a fresh copy of the set tells.
    fn still_stands(&self, remembered: &Remembered) -> bool {
        self.settings
            .issuers
            .get(remembered.issuer)
            .is_some_and(|(_, keys)| {
                keys.peek(&remembered.kid, remembered.algorithm) == Freshness::FreshAndKnown
            })
    }

    /// The checks of RFC 9068 §4, cheap ones first.
    async fn verify_afresh(&self, text: &str) -> Result<Remembered, TokenError> {
        let unverified = UnverifiedToken::parse(text)?;
        let (index, (config, keys)) = self
            .settings
            .issuers
            .iter()
            .enumerate()
            // RFC 9207 §2.4, RFC 9068 §4: issuers are compared as texts, exactly.
            .find(|(_, (config, _))| config.issuer.as_str() == unverified.issuer)
            .ok_or(TokenError::UnknownIssuer)?;
        if !config.token_types.contains(&unverified.token_type) {
            return Err(TokenError::TokenType);
        }
        // RFC 8725 §3.1: the algorithm comes from our list, never from the token alone.
        if !config.algorithms.contains(&unverified.algorithm) {
            return Err(TokenError::Algorithm);
        }
        let key = match keys.key(&unverified.kid, &unverified.algorithm).await {
            KeyLookup::Found(key) => key,
            KeyLookup::Unknown => return Err(TokenError::UnknownKey),
            KeyLookup::Unavailable => {
                return Err(TokenError::KeysUnavailable(config.issuer.clone()));
            }
        };
        let payload = key
            .verify_compact(unverified.text)
            .map_err(|_| TokenError::Signature)?;
        let claims = strict_json::parse_object(&payload).map_err(|_| TokenError::Malformed)?;
        let expectation = Expectation {
            issuer: &config.issuer,
            audience: &self.settings.audience,
            roles_claim: &config.roles_claim,
            now: self.settings.clock.now(),
            leeway: self.settings.leeway,
        };
        let token = VerifiedAccessToken::judge(&claims, &expectation)?;
        let kid = Arc::from(key.kid());
        Ok(Remembered {
            token,
            issuer: index,
            kid,
            algorithm: key.algorithm_name(),
        })
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenVerifier")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
