//! Keys that sign.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use aws_lc_rs::{digest, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::JoseError;
use josekit::jws::{JwsAlgorithm, JwsHeader, JwsSigner};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::AlgorithmName;
use crate::config::SigningAlgorithm;

/// Why a key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The generator failed.
    #[error("the key could not be generated")]
    Generate,
    /// The bytes are not a private key of this algorithm.
    #[error("the stored private key is not a PKCS#8 key for {0}")]
    Unreadable(&'static str),
    /// The claims could not be serialised, or the signature failed.
    #[error("the token could not be signed")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A private key with everything prepared that its signatures have in common.
///
/// Cloning is cheap. `Debug` prints the key id only.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    algorithm: SigningAlgorithm,
    kid: String,
    pkcs8: Zeroizing<Vec<u8>>,
    public_jwk: Value,
    pair: Pair,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// Makes a new key; its id is its thumbprint.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generate;
        let pkcs8 = match algorithm {
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| pair.to_pkcs8v1())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            SigningAlgorithm::EdDsa => Ed25519KeyPair::generate()
                .and_then(|pair| pair.to_pkcs8())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            SigningAlgorithm::Rs256 => rsa::KeyPair::generate(KeySize::Rsa2048)
                .and_then(|pair| pair.as_der())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
        };
        Self::from_pkcs8(algorithm, pkcs8)
    }

    /// Reads a key that [`Self::pkcs8`] gave.
    pub fn from_pkcs8(algorithm: SigningAlgorithm, pkcs8: Vec<u8>) -> Result<Self, KeyError> {
        let pkcs8 = Zeroizing::new(pkcs8);
        let unreadable = |_| KeyError::Unreadable(algorithm.name());
        let pair = match algorithm {
            SigningAlgorithm::Es256 => Pair::Ecdsa(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8)
                    .map_err(unreadable)?,
            ),
            SigningAlgorithm::EdDsa => {
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(unreadable)?)
            }
            SigningAlgorithm::Rs256 => {
                Pair::Rsa(RsaKeyPair::from_pkcs8(&pkcs8).map_err(unreadable)?)
            }
        };
        let mut public_jwk = pair.public_parameters();
        let kid = thumbprint(&public_jwk);
        if let Value::Object(members) = &mut public_jwk {
            members.insert("kid".to_owned(), json!(kid));
            members.insert("alg".to_owned(), json!(algorithm.name()));
            members.insert("use".to_owned(), json!("sig"));
        }
        Ok(Self(Arc::new(Inner {
            algorithm,
            kid,
            pkcs8,
            public_jwk,
            pair,
        })))
    }

    /// The key id: the thumbprint of RFC 7638, as base64url.
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// The algorithm of its signatures.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.0.algorithm
    }

    /// The public half as a JWK (RFC 7517 §4), with `kid`, `alg` and `use`; no private member.
    pub fn public_jwk(&self) -> &Value {
        &self.0.public_jwk
    }

    /// The private key as PKCS#8, for the store alone.
    pub fn pkcs8(&self) -> &[u8] {
        &self.0.pkcs8
    }

    /// Signs claims as a compact JWS whose header has `typ`, `alg` and `kid`.
    ///
    /// Claims should hold integers for times: RFC 7519 allows fractions, but strict readers do not.
    pub fn sign_compact(
        &self,
        typ: &str,
        claims: &impl serde::Serialize,
    ) -> Result<String, KeyError> {
        let payload = serde_json::to_vec(claims).map_err(|error| KeyError::Sign(error.into()))?;
        let mut header = JwsHeader::new();
        header.set_token_type(typ);
        josekit::jws::serialize_compact(&payload, &header, self)
            .map_err(|error| KeyError::Sign(error.into()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", self.0.kid)
    }
}

impl JwsSigner for SigningKey {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        match self.0.algorithm {
            SigningAlgorithm::Es256 => &AlgorithmName("ES256"),
            SigningAlgorithm::EdDsa => &AlgorithmName("EdDSA"),
            SigningAlgorithm::Rs256 => &AlgorithmName("RS256"),
        }
    }

    fn key_id(&self) -> Option<&str> {
        Some(&self.0.kid)
    }

    fn signature_len(&self) -> usize {
        match &self.0.pair {
            Pair::Ecdsa(_) | Pair::Ed25519(_) => 64,
            Pair::Rsa(pair) => pair.public_modulus_len(),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        // The generator inside the signature is the library's own: a nonce that could be handed in
        // would give the private key away.
        let random = SystemRandom::new();
        let failed =
            |_| JoseError::InvalidSignature(std::io::Error::other("signing failed").into());
        match &self.0.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
        }
        .map_err(failed)
    }

    fn box_clone(&self) -> Box<dyn JwsSigner> {
        Box::new(self.clone())
    }
}

impl Pair {
    /// The required members of the public JWK, in the alphabetical order of RFC 7638 §3.
    fn public_parameters(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ecdsa(pair) => {
                // An uncompressed point: 0x04, then both coordinates of 32 bytes each.
                let point = pair.public_key().as_ref();
                let half = |from: usize| text(point.get(from..from + 32).unwrap_or_default());
                json!({ "crv": "P-256", "kty": "EC", "x": half(1), "y": half(33) })
            }
            Self::Ed25519(pair) => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": text(pair.public_key().as_ref()) })
            }
            Self::Rsa(pair) => {
                let key = pair.public_key();
                json!({
                    "e": text(key.exponent().big_endian_without_leading_zero()),
                    "kty": "RSA",
                    "n": text(key.modulus().big_endian_without_leading_zero()),
                })
            }
        }
    }
}

/// The thumbprint of RFC 7638: SHA-256 over the required members in order, as base64url.
fn thumbprint(parameters: &Value) -> String {
    let canonical = parameters.to_string();
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::VerifyingKey;
    use super::*;

    const ALL: [SigningAlgorithm; 3] = [
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Rs256,
    ];

    #[test]
    fn a_signature_is_verified_by_the_public_half_and_by_no_other_key() {
        for algorithm in ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            let other = SigningKey::generate(algorithm).unwrap();
            let token = key.sign_compact("at+jwt", &json!({ "a": 1 })).unwrap();
            let verifier = |key: &SigningKey| VerifyingKey::from_jwk(key.public_jwk()).unwrap();
            assert_eq!(
                verifier(&key)[0].verify_compact(&token).unwrap(),
                br#"{"a":1}"#
            );
            assert!(verifier(&other)[0].verify_compact(&token).is_err());
        }
    }

    #[test]
    fn a_key_survives_its_stored_form() {
        for algorithm in ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_pkcs8(algorithm, key.pkcs8().to_vec()).unwrap();
            assert_eq!(again.public_jwk(), key.public_jwk());
        }
        assert!(SigningKey::from_pkcs8(SigningAlgorithm::Es256, vec![1, 2, 3]).is_err());
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638_section_3_1() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let parameters = json!({ "e": "AQAB", "kty": "RSA", "n": n });
        assert_eq!(
            thumbprint(&parameters),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }
}
