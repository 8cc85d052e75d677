use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::clock::Clock;
use crate::config::{IssuerConfig, SigningAlgorithm};
use crate::fetch::{FetchError, FetchRequest, Fetcher, SharedFetcher};
use crate::jwks::PublishedKeys;
use crate::jws::SigningKey;

#[derive(Debug)]
struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// An issuer in memory, behind the fetcher.
#[derive(Debug)]
struct Web {
    /// The body of `/jwks`; `None` when the issuer is down.
    jwks: Mutex<Option<Vec<u8>>>,
    /// The issuer that the metadata names.
    names: &'static str,
    fetches: AtomicUsize,
    /// Holds fetches back until the test lets them go.
    gate: Semaphore,
}

#[async_trait]
impl Fetcher for Web {
    async fn fetch(&self, request: FetchRequest<'_>) -> Result<Vec<u8>, FetchError> {
        if request.url.contains("/.well-known/") {
            let uri = format!("{ISSUER}/jwks");
            return Ok(json!({ "issuer": self.names, "jwks_uri": uri })
                .to_string()
                .into_bytes());
        }
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let _passed = self.gate.acquire().await;
        self.jwks
            .lock()
            .unwrap()
            .clone()
            .ok_or_else(|| FetchError::Status {
                url: request.url.to_owned(),
                status: 500,
            })
    }
}

const ISSUER: &str = "https://issuer.test";

struct World {
    web: Arc<Web>,
    clock: Arc<ManualClock>,
    cache: JwksCache,
    key: SigningKey,
}

impl World {
    fn new() -> Self {
        Self::with(ISSUER, None)
    }

    fn with(names: &'static str, internal_url: Option<&str>) -> Self {
        let key = SigningKey::generate(SigningAlgorithm::EdDsa).unwrap();
        let web = Arc::new(Web {
            jwks: Mutex::new(Some(set(&[&key]))),
            names,
            fetches: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let clock = Arc::new(ManualClock(AtomicI64::new(1_000_000)));
        let issuer = IssuerConfig {
            issuer: Issuer::parse(ISSUER).unwrap(),
            internal_url: internal_url.map(str::to_owned),
            algorithms: vec!["EdDSA".to_owned()],
            token_types: vec!["at+jwt".to_owned()],
            roles_claim: vec!["roles".to_owned()],
        };
        let config = JwksCacheConfig {
            ttl: Duration::from_hours(1),
            cooldown: Duration::from_secs(10),
            stale_for: Duration::from_hours(24),
            timeout: Duration::from_secs(3),
        };
        let source = PublishedKeys::new(
            issuer.clone(),
            Arc::clone(&web) as SharedFetcher,
            config.timeout,
        );
        let shared_clock = Arc::clone(&clock) as SharedClock;
        let cache = JwksCache::new(issuer.issuer, config, Box::new(source), shared_clock);
        Self {
            web,
            clock,
            cache,
            key,
        }
    }

    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn publish(&self, jwks: Option<Vec<u8>>) {
        *self.web.jwks.lock().unwrap() = jwks;
    }

    fn fetches(&self) -> usize {
        self.web.fetches.load(Ordering::SeqCst)
    }

    async fn look_up(&self, key: &SigningKey) -> &'static str {
        self.look_up_kid(key.kid()).await
    }

    async fn look_up_kid(&self, kid: &str) -> &'static str {
        match self.cache.key(kid, "EdDSA").await {
            KeyLookup::Found(_) => "found",
            KeyLookup::Unknown => "unknown",
            KeyLookup::Unavailable => "unavailable",
        }
    }
}

fn set(keys: &[&SigningKey]) -> Vec<u8> {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

#[tokio::test]
async fn a_flood_of_unknown_key_ids_costs_one_fetch_per_cooldown() {
    let world = World::new();
    assert_eq!(world.look_up(&world.key).await, "found");
    for round in 0..2 {
        world.pass(10);
        for number in 0..500 {
            assert_eq!(
                world
                    .look_up_kid(&format!("made-up-{round}-{number}"))
                    .await,
                "unknown"
            );
            assert_eq!(world.look_up(&world.key).await, "found");
        }
        assert_eq!(world.fetches(), 2 + round);
    }
}

#[tokio::test]
async fn questions_at_the_same_time_share_one_fetch() {
    let world = World::new();
    world.web.gate.forget_permits(Semaphore::MAX_PERMITS);
    let questions: Vec<_> = (0..50)
        .map(|_| {
            let (cache, kid) = (world.cache.clone(), world.key.kid().to_owned());
            tokio::spawn(async move { cache.key(&kid, "EdDSA").await })
        })
        .collect();
    tokio::task::yield_now().await;
    world.web.gate.add_permits(100);
    for question in questions {
        assert!(matches!(question.await.unwrap(), KeyLookup::Found(_)));
    }
    assert_eq!(world.fetches(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_end_the_fetch_for_the_others() {
    let world = World::new();
    world.web.gate.forget_permits(Semaphore::MAX_PERMITS);
    let (cache, kid) = (world.cache.clone(), world.key.kid().to_owned());
    let first = tokio::spawn(async move { cache.key(&kid, "EdDSA").await });
    while world.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    world.web.gate.add_permits(100);
    assert_eq!(world.look_up(&world.key).await, "found");
    assert_eq!(world.fetches(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_at_first_sight_once_the_cooldown_is_over() {
    let world = World::new();
    assert_eq!(world.look_up(&world.key).await, "found");
    let next = SigningKey::generate(SigningAlgorithm::EdDsa).unwrap();
    world.publish(Some(set(&[&world.key, &next])));
    world.pass(10);
    assert_eq!(world.look_up(&next).await, "found");
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_when_the_copy_has_lived_its_time() {
    let world = World::new();
    assert_eq!(world.look_up(&world.key).await, "found");
    let next = SigningKey::generate(SigningAlgorithm::EdDsa).unwrap();
    world.publish(Some(set(&[&next])));
    world.pass(3599);
    assert_eq!(world.look_up(&world.key).await, "found");
    world.pass(1);
    assert_eq!(world.look_up(&world.key).await, "unknown");
    assert_eq!(
        world.cache.peek(world.key.kid(), "EdDSA"),
        Freshness::AskAgain
    );
}

#[tokio::test]
async fn an_issuer_that_is_down_or_broken_keeps_its_last_good_keys_for_a_day() {
    for broken in [
        None,
        Some(b"{\"keys\":[]}".to_vec()),
        Some(b"<html>".to_vec()),
    ] {
        let world = World::new();
        assert_eq!(world.look_up(&world.key).await, "found");
        world.publish(broken);
        world.pass(3600 + 86_399);
        assert_eq!(world.look_up(&world.key).await, "found");
        assert!(world.cache.is_ready());
        world.pass(1);
        assert_eq!(world.look_up(&world.key).await, "unavailable");
        assert!(!world.cache.is_ready());
    }
}

#[tokio::test]
async fn while_the_issuer_is_down_old_keys_cost_no_fetch_within_the_cooldown() {
    let world = World::new();
    assert_eq!(world.look_up(&world.key).await, "found");
    world.publish(None);
    world.pass(3600);
    for _ in 0..100 {
        assert_eq!(world.look_up(&world.key).await, "found");
    }
    assert_eq!(world.fetches(), 2);
    assert_eq!(
        world.cache.peek(world.key.kid(), "EdDSA"),
        Freshness::FreshAndKnown
    );
}

#[tokio::test]
async fn a_cold_start_with_the_issuer_down_heals_by_itself() {
    let world = World::new();
    world.publish(None);
    world.cache.keep_warm().await;
    assert_eq!(world.look_up(&world.key).await, "unavailable");
    world.publish(Some(set(&[&world.key])));
    world.pass(10);
    world.cache.keep_warm().await;
    assert_eq!(world.look_up(&world.key).await, "found");
}

#[tokio::test]
async fn an_ageing_copy_is_fetched_again_before_anybody_waits_for_it() {
    let world = World::new();
    world.cache.keep_warm().await;
    world.pass(2699);
    world.cache.keep_warm().await;
    assert_eq!(world.fetches(), 1);
    world.pass(1);
    world.cache.keep_warm().await;
    assert_eq!(world.fetches(), 2);
}

#[tokio::test]
async fn metadata_that_names_another_issuer_gives_no_keys() {
    let world = World::with("https://issuer.test/", None);
    assert_eq!(world.look_up(&world.key).await, "unavailable");
    assert_eq!(world.fetches(), 0);
}

#[tokio::test]
async fn an_internal_address_is_dialled_while_the_issuer_is_compared_as_it_is() {
    let world = World::with(ISSUER, Some("http://authz.internal:9000"));
    assert_eq!(world.look_up(&world.key).await, "found");
}
