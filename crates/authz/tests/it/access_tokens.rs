//! RFC 9068: what is in a token, and that nothing of it can be guessed or found at rest.

use std::collections::HashSet;
use std::time::Duration;

use portcullis_common::config::SigningAlgorithm;
use portcullis_testkit::authz::{self, Authz, BASIC, ISSUER, MCP, POST};
use portcullis_testkit::clock::START;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::on_both_engines;
use serde_json::json;

use crate::verify;

#[tokio::test]
async fn a_clients_own_token_says_so_and_holds_nothing_else() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    authz.clock.advance(Duration::from_secs(5));
    let token = authz.issue().await;
    let claims = verify::claims(&authz, &token).await.unwrap();
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!(jti.len(), 22, "128 bits as base64url");
    assert_eq!(
        claims,
        json!({
            "iss": ISSUER,
            "sub": "client:svc-basic",
            "aud": MCP,
            "exp": START.seconds() + 605,
            "iat": START.seconds() + 5,
            "jti": jti,
            "client_id": "svc-basic",
            "scope": "mcp:read",
        })
    );
    let kid = verify::published(&authz).await.remove(0);
    assert_eq!(
        verify::header(&token),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": kid})
    );
}

#[tokio::test]
async fn tokens_are_signed_with_the_configured_algorithm() {
    for (algorithm, name) in [
        (SigningAlgorithm::Es256, "ES256"),
        (SigningAlgorithm::EdDsa, "EdDSA"),
        (SigningAlgorithm::Rs256, "RS256"),
    ] {
        let database = TestDatabase::sqlite();
        let mut config = authz::config(database.config());
        config.authz.signing_alg = algorithm;
        let authz = Authz::start_with(config).await;
        let token = authz.issue().await;
        assert_eq!(verify::header(&token)["alg"], name);
        assert!(verify::claims(&authz, &token).await.is_some(), "{name}");
    }
}

#[tokio::test]
async fn two_thousand_tokens_have_two_thousand_ids() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let mut seen = HashSet::new();
    for _ in 0..2_000 {
        let token = authz.issue().await;
        let payload = token.split('.').nth(1).unwrap();
        assert!(seen.insert(payload.to_owned()));
    }
}

on_both_engines! {
    async fn no_secret_and_no_token_can_be_found_in_the_database(database) {
        let mut config = authz::config(database.config());
        let key = "b3".repeat(32);
        config.authz.key_encryption_key =
            Some(portcullis_common::secret::ClientSecret::new(key.as_str()));
        let admin_config = config.clone();
        let authz = Authz::start_with(config).await;
        let new = portcullis_authz::clients::admin::NewClient {
            name: "stored".to_owned(),
            ..Default::default()
        };
        let added = portcullis_authz::clients::admin::add(
            authz.state.store(),
            &admin_config,
            authz.clock.as_ref(),
            portcullis_testkit::entropy::SeededEntropy::new(7).as_ref(),
            new,
        )
        .await
        .unwrap();
        authz.state.refresh().await.unwrap();
        let secret = added.secret.unwrap();
        let basic = (added.client.id.as_str(), secret.expose());
        let answer = authz.token(Some(basic), "grant_type=client_credentials").await;
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let signature = token.rsplit('.').next().unwrap().to_owned();

        let dump = String::from_utf8_lossy(&database.dump().await).into_owned();
        assert!(dump.contains("stored") && dump.contains("aes-256-gcm:"), "the dump is read right");
        for secret in [secret.expose(), BASIC.1, POST.1, &key, &token, &signature, "plain:"] {
            assert!(!dump.contains(secret), "{secret}");
        }
    }
}
