//! Signing keys: made once, rotated by command and by the clock, published while they must be.

use std::sync::Arc;
use std::time::Duration;

use portcullis_authz::keys::{KeyRingError, admin};
use portcullis_authz::state::{AppState, StartError};
use portcullis_authz::store::KeyState;
use portcullis_common::audit::AuditTrail;
use portcullis_common::config::{Config, SigningAlgorithm};
use portcullis_common::secret::ClientSecret;
use portcullis_testkit::authz::{self, Authz};
use portcullis_testkit::clock::ManualClock;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::entropy::SeededEntropy;
use portcullis_testkit::on_both_engines;
use portcullis_testkit::web::no_web;

use crate::verify;

/// `access_token_ttl`, the cache time of the set, and a minute for slow clocks.
const OVERLAP: Duration = Duration::from_mins(10 + 5 + 1);
const ROTATION: Duration = Duration::from_hours(90 * 24);

fn just_before(duration: Duration) -> Duration {
    duration.saturating_sub(Duration::from_secs(1))
}

async fn open(config: Config) -> Result<AppState, StartError> {
    let (clock, entropy) = (ManualClock::new(), SeededEntropy::new(2));
    AppState::open(
        Arc::new(config),
        clock,
        entropy,
        no_web(),
        None,
        AuditTrail::off(),
    )
    .await
}

async fn rotate(authz: &Authz) -> Vec<String> {
    let (config, entropy) = (&authz.state.config().authz, SeededEntropy::new(3));
    let clock = authz.clock.as_ref();
    let keys = admin::rotate(authz.state.store(), config, clock, entropy.as_ref())
        .await
        .unwrap();
    keys.into_iter().map(|key| key.kid).collect()
}

#[tokio::test]
async fn the_published_set_holds_public_members_only() {
    for algorithm in [
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Rs256,
    ] {
        let database = TestDatabase::sqlite();
        let mut config = authz::config(database.config());
        config.authz.signing_alg = algorithm;
        let authz = Authz::start_with(config).await;
        let answer = authz.get("/jwks").await;
        assert_eq!(answer.header("content-type"), "application/json");
        let set = answer.json();
        let keys = set["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2, "active and next");
        for key in keys {
            let members: Vec<_> = key
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            let public = ["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"];
            assert!(
                members.iter().all(|member| public.contains(member)),
                "{members:?}"
            );
            assert_eq!(key["alg"], algorithm.name());
            assert_eq!(key["use"], "sig");
            assert!(!key["kid"].as_str().unwrap().is_empty());
        }
        assert_ne!(keys[0]["kid"], keys[1]["kid"]);
    }
}

on_both_engines! {
    async fn servers_on_one_database_publish_the_same_set(database) {
        let config = authz::config(database.config());
        let (one, other) = tokio::join!(
            Authz::start_with(config.clone()),
            Authz::start_with(config),
        );
        assert_eq!(one.get("/jwks").await.body, other.get("/jwks").await.body);
        let token = one.issue().await;
        assert!(verify::claims(&other, &token).await.is_some());
    }

    async fn a_rotation_by_command_shows_in_a_running_server_after_its_next_look(database) {
        let authz = Authz::start(&database).await;
        let (before, old_token) = (verify::published(&authz).await, authz.issue().await);
        let after = rotate(&authz).await;
        assert_eq!(verify::published(&authz).await, before, "it has not looked yet");
        authz.state.refresh().await.unwrap();
        assert_eq!(verify::published(&authz).await, after);
        assert_eq!((after.len(), &after[0], &after[2]), (3, &before[1], &before[0]));
        let new_token = authz.issue().await;
        assert_eq!(verify::header(&new_token)["kid"], after[0]);
        for token in [old_token, new_token] {
            assert!(verify::claims(&authz, &token).await.is_some());
        }
    }

    async fn the_clock_rotates_and_the_old_key_stays_while_its_tokens_live(database) {
        let authz = Authz::start(&database).await;
        let before = verify::published(&authz).await;
        authz.clock.advance(just_before(ROTATION));
        portcullis_authz::jobs::tick(&authz.state).await;
        assert_eq!(verify::published(&authz).await, before);
        let last_token = authz.issue().await;

        authz.clock.advance(Duration::from_secs(1));
        portcullis_authz::jobs::tick(&authz.state).await;
        let rotated = verify::published(&authz).await;
        assert_eq!((rotated.len(), &rotated[0], &rotated[2]), (3, &before[1], &before[0]));

        authz.clock.advance(just_before(OVERLAP));
        portcullis_authz::jobs::tick(&authz.state).await;
        assert!(verify::claims(&authz, &last_token).await.is_some());
        authz.clock.advance(Duration::from_secs(1));
        portcullis_authz::jobs::tick(&authz.state).await;
        assert_eq!(verify::published(&authz).await, rotated[..2]);
    }

    async fn of_two_servers_whose_clock_says_so_one_rotates(database) {
        let clock = ManualClock::new();
        let config = authz::config(database.config());
        let one = Authz::start_at(config.clone(), Arc::clone(&clock)).await;
        let other = Authz::start_at(config, Arc::clone(&clock)).await;
        clock.advance(ROTATION);
        tokio::join!(
            portcullis_authz::jobs::tick(&one.state),
            portcullis_authz::jobs::tick(&other.state),
        );
        one.state.refresh().await.unwrap();
        other.state.refresh().await.unwrap();
        assert_eq!(verify::published(&one).await.len(), 3);
        assert_eq!(one.get("/jwks").await.body, other.get("/jwks").await.body);
    }

    async fn a_start_with_another_algorithm_signs_with_it_and_keeps_what_living_tokens_need(database) {
        let clock = ManualClock::new();
        let mut config = authz::config(database.config());
        let before = Authz::start_at(config.clone(), Arc::clone(&clock)).await;
        let old_token = before.issue().await;
        config.authz.signing_alg = SigningAlgorithm::EdDsa;
        let after = Authz::start_at(config.clone(), Arc::clone(&clock)).await;
        let new_token = after.issue().await;
        assert_eq!(verify::header(&new_token)["alg"], "EdDSA");
        assert!(verify::claims(&after, &old_token).await.is_some());
        assert_eq!(verify::published(&after).await.len(), 3);
        // A server that still runs with the other algorithm follows.
        before.state.refresh().await.unwrap();
        assert!(verify::claims(&before, &new_token).await.is_some());
        // A second start changes nothing.
        let again = Authz::start_at(config, clock).await;
        assert_eq!(again.get("/jwks").await.body, after.get("/jwks").await.body);
    }

    async fn encrypted_keys_open_with_their_key_alone(database) {
        let mut config = authz::config(database.config());
        let with = |key: Option<&str>| {
            let mut config = config.clone();
            config.authz.key_encryption_key = key.map(ClientSecret::new);
            config
        };
        let right = "17".repeat(32);
        open(with(Some(&right))).await.unwrap();
        open(with(Some(&right))).await.unwrap();
        let wrong = open(with(Some(&"18".repeat(32)))).await.unwrap_err();
        assert!(matches!(wrong, StartError::Keys(KeyRingError::EncryptionKeyWrong)), "{wrong}");
        let missing = open(with(None)).await.unwrap_err();
        assert!(matches!(missing, StartError::Keys(KeyRingError::EncryptionKeyMissing)));
        config.authz.signing_alg = SigningAlgorithm::EdDsa;
        let missing = open(config.clone()).await.unwrap_err();
        assert!(matches!(missing, StartError::Keys(KeyRingError::EncryptionKeyMissing)));
    }

    async fn keys_are_encrypted_as_soon_as_a_key_for_it_is_configured(database) {
        let mut config = authz::config(database.config());
        let plain = Authz::start_with(config.clone()).await;
        let published = plain.get("/jwks").await.body;
        let token = plain.issue().await;
        config.authz.key_encryption_key = Some(ClientSecret::new("17".repeat(32)));
        let sealed = Authz::start_with(config).await;
        assert_eq!(sealed.get("/jwks").await.body, published);
        assert!(verify::claims(&sealed, &token).await.is_some());
        for key in sealed.state.store().load_signing_keys().await.unwrap() {
            assert!(key.private_key.expose().starts_with("aes-256-gcm:"));
        }
    }
}

#[tokio::test]
async fn keys_can_be_listed_and_rotated_before_any_server_ran() {
    let database = TestDatabase::sqlite();
    let config = authz::config(database.config());
    let clock = ManualClock::new();
    let store = portcullis_authz::store::Store::open(&config.store, clock.as_ref())
        .await
        .unwrap();
    assert_eq!(admin::list(&store).await.unwrap(), []);
    let entropy = SeededEntropy::new(4);
    let keys = admin::rotate(&store, &config.authz, clock.as_ref(), entropy.as_ref())
        .await
        .unwrap();
    let states: Vec<_> = keys.iter().map(|key| key.state).collect();
    assert_eq!(
        states,
        [KeyState::Active, KeyState::Next, KeyState::Retired]
    );
}
