//! How a resource server would read what we publish and issue.

use portcullis_common::jws::VerifyingKey;
use portcullis_testkit::authz::Authz;
use serde_json::Value;

/// The key ids of the published set, in their order.
pub(crate) async fn published(authz: &Authz) -> Vec<String> {
    let set = authz.get("/jwks").await.json();
    let keys = set["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

/// The header of a token, unverified.
pub(crate) fn header(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').next().unwrap();
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// The claims of a token, if a published key verifies it.
pub(crate) async fn claims(authz: &Authz, token: &str) -> Option<Value> {
    let set = authz.get("/jwks").await.json();
    let kid = header(token)["kid"].clone();
    let jwk = set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == kid)?;
    let key = VerifyingKey::from_jwk(jwk).unwrap().remove(0);
    let payload = key.verify_compact(token).ok()?;
    Some(serde_json::from_slice(&payload).unwrap())
}
