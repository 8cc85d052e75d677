//! Keys that verify.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::JoseError;
use josekit::jwk::Jwk;
use josekit::jws::{JwsAlgorithm, JwsVerifier};
use serde_json::Value;

use super::AlgorithmName;

/// Why a JWK cannot verify our tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Not a JWK at all, or a member has the wrong form.
    #[error("it is not a well-formed JWK")]
    Malformed,
    /// For encryption, of an unknown or symmetric kind, or without a key id.
    #[error("it is not a public signature key with a key id, of a kind that is accepted here")]
    NotForVerification,
    /// The key itself is bad: a point off the curve, an RSA modulus under 2048 bits.
    #[error("its key material is refused")]
    Rejected,
}

/// A public key for one algorithm, parsed once.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    kid: String,
    algorithm: AlgorithmName,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// Reads a JWK. An RSA key that names no algorithm gives one verifier for each of `RS256` and
    /// `PS256`; every other key gives one (RFC 8725 §3.1: a key is used with one algorithm).
    pub fn from_jwk(jwk: &Value) -> Result<Vec<Self>, JwkError> {
        let members = jwk.as_object().ok_or(JwkError::Malformed)?;
        let jwk = Jwk::from_map(members.clone()).map_err(|_| JwkError::Malformed)?;
        let is_for_signatures =
            jwk.key_use().is_none_or(|usage| usage == "sig") && jwk.is_for_key_operation("verify");
        let kid = match jwk.key_id() {
            Some(kid) if is_for_signatures => kid.to_owned(),
            _ => return Err(JwkError::NotForVerification),
        };
        let algorithms: &[&str] = match (jwk.key_type(), jwk.curve(), jwk.algorithm()) {
            ("EC", Some("P-256"), None | Some("ES256")) => &["ES256"],
            ("OKP", Some("Ed25519"), None | Some("EdDSA" | "Ed25519")) => &["EdDSA"],
            ("RSA", _, Some("RS256")) => &["RS256"],
            ("RSA", _, Some("PS256")) => &["PS256"],
            ("RSA", _, None) => &["RS256", "PS256"],
            _ => return Err(JwkError::NotForVerification),
        };
        algorithms
            .iter()
            .map(|name| {
                let key = public_key(&jwk, name)?;
                Ok(Self {
                    kid: kid.clone(),
                    algorithm: AlgorithmName(name),
                    key,
                })
            })
            .collect()
    }

    /// `kid`
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm this key verifies.
    pub fn algorithm_name(&self) -> &'static str {
        self.algorithm.0
    }

    /// Verifies a compact JWS; `alg` and `kid` of its header must be those of this key. Gives the
    /// payload.
    pub fn verify_compact(&self, token: &str) -> Result<Vec<u8>, JoseError> {
        josekit::jws::deserialize_compact(token, self).map(|(payload, _header)| payload)
    }
}

impl JwsVerifier for VerifyingKey {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        &self.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        Some(&self.kid)
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        self.key.verify_sig(message, signature).map_err(|_| {
            JoseError::InvalidSignature(
                std::io::Error::other("the signature does not match").into(),
            )
        })
    }

    fn box_clone(&self) -> Box<dyn JwsVerifier> {
        Box::new(self.clone())
    }
}

/// Reads the key material for one algorithm.
fn public_key(jwk: &Jwk, algorithm: &str) -> Result<ParsedPublicKey, JwkError> {
    let bytes = |name: &str| {
        let text = jwk
            .parameter(name)
            .and_then(Value::as_str)
            .ok_or(JwkError::Malformed)?;
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| JwkError::Malformed)
    };
    let parsed = match algorithm {
        "ES256" => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            // RFC 7518 §6.2.1.2: both coordinates have the full length of the curve's field.
            if x.len() != 32 || y.len() != 32 {
                return Err(JwkError::Malformed);
            }
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4], &x[..], &y[..]].concat())
        }
        "EdDSA" => ParsedPublicKey::new(&ED25519, bytes("x")?),
        "RS256" | "PS256" => {
            let parameters = match algorithm {
                "RS256" => &RSA_PKCS1_2048_8192_SHA256,
                _ => &RSA_PSS_2048_8192_SHA256,
            };
            let (n, e) = (bytes("n")?, bytes("e")?);
            if n.len() < 256 {
                return Err(JwkError::Rejected);
            }
            PublicKeyComponents { n, e }.to_parsed_public_key(parameters)
        }
        _ => return Err(JwkError::NotForVerification),
    };
    parsed.map_err(|_| JwkError::Rejected)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(jwk: &Value, expected: JwkError) {
        assert_eq!(
            VerifyingKey::from_jwk(jwk).map(|_| ()),
            Err(expected),
            "{jwk}"
        );
    }

    #[test]
    fn keys_that_cannot_verify_are_refused() {
        let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
        let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
        check(&json!([]), JwkError::Malformed);
        check(&json!({ "kid": "a" }), JwkError::Malformed);
        check(
            &json!({ "kty": "oct", "k": "AAAA", "kid": "a" }),
            JwkError::NotForVerification,
        );
        check(
            &json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }),
            JwkError::NotForVerification,
        );
        check(
            &json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "a", "use": "enc" }),
            JwkError::NotForVerification,
        );
        check(
            &json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "a", "alg": "HS256" }),
            JwkError::NotForVerification,
        );
        check(
            &json!({ "kty": "EC", "crv": "P-256", "x": x, "y": x, "kid": "a" }),
            JwkError::Rejected,
        );
        check(
            &json!({ "kty": "RSA", "n": "AAEC", "e": "AQAB", "kid": "a" }),
            JwkError::Rejected,
        );
    }
}
