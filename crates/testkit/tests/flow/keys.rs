//! Keys and tokens over the life of the product, judged by a library that is not ours.

use std::str::FromStr as _;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use portcullis_authz::keys::admin;
use portcullis_common::clock::SystemClock;
use portcullis_common::entropy::SystemEntropy;
use serde_json::{Value, json};

use crate::product::{Place, Product};

fn kid(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

async fn verify(product: &Product, token: &str) -> Value {
    let set: JwkSet = serde_json::from_value(product.get("/jwks").await).unwrap();
    let header = decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let jwk = set.find(&header.kid.unwrap()).unwrap();
    // The algorithm comes from the published key, not from the token.
    let algorithm = jwk.common.key_algorithm.unwrap().to_string();
    let mut rules = Validation::new(Algorithm::from_str(&algorithm).unwrap());
    rules.set_audience(&[product.mcp()]);
    rules.set_issuer(&[product.config.authz.issuer.as_str()]);
    rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    let key = DecodingKey::from_jwk(jwk).unwrap();
    decode::<Value>(token, &key, &rules).unwrap().claims
}

#[tokio::test]
async fn another_library_verifies_our_tokens_of_every_algorithm() {
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let place = Place::signing_with(algorithm);
        let product = place.start().await;
        let token = product.token("mcp:read").await;
        let claims = verify(&product, &token).await;
        assert_eq!(claims["sub"], "client:agent", "{algorithm}");
        assert_eq!(claims["scope"], json!("mcp:read"));
        assert_eq!(product.echo(&token).await, 200);
        product.stop().await;
    }
}

#[tokio::test]
async fn no_call_fails_while_the_key_is_rotated() {
    let place = Place::new();
    let product = place.start().await;
    let before = product.token("mcp:read").await;
    assert_eq!(product.echo(&before).await, 200);
    let (store, config) = (product.authz.store(), &product.config.authz);
    let rotated = admin::rotate(store, config, &SystemClock, &SystemEntropy);
    let calls = async {
        let mut newest = before.clone();
        let mut after = 0;
        // Until tokens of the new key have been used for a while.
        while after < 50 {
            newest = product.token("mcp:read").await;
            assert_eq!(product.echo(&newest).await, 200);
            assert_eq!(product.echo(&before).await, 200);
            after += i32::from(kid(&newest) != kid(&before));
        }
        newest
    };
    let (rotated, after) = tokio::join!(rotated, calls);
    assert_eq!(rotated.unwrap().len(), 3);
    for token in [&before, &after] {
        verify(&product, token).await;
    }
    product.stop().await;
}

#[tokio::test]
async fn a_token_outlives_a_restart_on_the_same_folder() {
    let place = Place::new();
    let product = place.start().await;
    let token = product.token("mcp:read").await;
    product.stop().await;
    let product = place.start().await;
    assert_eq!(product.echo(&token).await, 200);
    verify(&product, &token).await;
    assert_eq!(kid(&product.token("mcp:read").await), kid(&token));
    product.stop().await;
}
