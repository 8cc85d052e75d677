//! Tokens as an issuer would make them, and as no issuer would.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use josekit::jws::JwsSigner as _;
use portcullis_common::config::SigningAlgorithm;
use portcullis_common::jws::SigningKey;
use serde_json::{Map, Value, json};

/// A token before it is signed; every part can be made wrong.
#[derive(Clone, Debug)]
pub struct TokenDraft {
    key: SigningKey,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    raw_header: Option<String>,
    raw_claims: Option<String>,
}

impl TokenDraft {
    /// The draft of an access token with these claims, to be signed with this key.
    pub fn new(key: SigningKey, claims: Value) -> Self {
        let draft = Self {
            key: key.clone(),
            header: members(json!({ "typ": "at+jwt" })),
            claims: members(claims),
            raw_header: None,
            raw_claims: None,
        };
        draft.key(key)
    }

    /// Sets a claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// A claim as it stands now.
    pub fn number(&self, name: &str) -> i64 {
        self.claims[name].as_i64().unwrap()
    }

    /// Sets a member of the header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a member of the header out.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Writes this text for the header, whatever it is.
    #[must_use]
    pub fn raw_header(mut self, text: &str) -> Self {
        self.raw_header = Some(text.to_owned());
        self
    }

    /// Writes this text for the claims, whatever it is.
    #[must_use]
    pub fn raw_claims(mut self, text: &str) -> Self {
        self.raw_claims = Some(text.to_owned());
        self
    }

    /// The claims with one more member written behind the others, also if it is there already.
    #[must_use]
    pub fn and_again(self, member: &str) -> Self {
        let claims = Value::Object(self.claims.clone()).to_string();
        let text = format!("{},{member}}}", claims.trim_end_matches('}'));
        self.raw_claims(&text)
    }

    /// Signs with another key, and says so in the header.
    #[must_use]
    pub fn key(self, key: SigningKey) -> Self {
        let (kid, algorithm) = (key.kid().to_owned(), key.algorithm().name());
        let mut draft = self.header("alg", algorithm).header("kid", kid);
        draft.key = key;
        draft
    }

    /// The token of a client on its own behalf, as our authorization server writes it.
    #[must_use]
    pub fn of_client(self, client: &str) -> Self {
        self.claim("sub", format!("client:{client}"))
            .claim("client_id", client)
    }

    /// The token, signed.
    pub fn sign(&self) -> String {
        let input = self.signing_input();
        let signature = self.key.sign(input.as_bytes()).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The token without its last part, and without the point before it.
    pub fn signing_input(&self) -> String {
        let header = self.raw_header.clone();
        let header = header.unwrap_or_else(|| Value::Object(self.header.clone()).to_string());
        let claims = self.raw_claims.clone();
        let claims = claims.unwrap_or_else(|| Value::Object(self.claims.clone()).to_string());
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        )
    }

    /// The token, signed with this secret by HMAC with SHA-256, SHA-384 or SHA-512.
    pub fn sign_with_secret(&self, bits: u16, secret: &[u8]) -> String {
        let algorithm = match bits {
            256 => hmac::HMAC_SHA256,
            384 => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA512,
        };
        let input = self
            .clone()
            .header("alg", format!("HS{bits}"))
            .signing_input();
        let signature = hmac::sign(&hmac::Key::new(algorithm, secret), input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The token with one bit of its signature changed.
pub fn tampered(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes[8] ^= 1;
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Every form in which somebody might feed the public half of a key to HMAC.
pub fn public_forms(key: &SigningKey) -> Vec<Vec<u8>> {
    let (raw, der) = match key.algorithm() {
        SigningAlgorithm::Es256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.pkcs8());
            let pair = pair.unwrap();
            let raw = pair.public_key().as_ref().to_vec();
            (raw, pair.public_key().as_der().unwrap().as_ref().to_vec())
        }
        SigningAlgorithm::EdDsa => {
            let pair = Ed25519KeyPair::from_pkcs8(key.pkcs8()).unwrap();
            let raw = pair.public_key().as_ref().to_vec();
            (raw, pair.public_key().as_der().unwrap().as_ref().to_vec())
        }
        SigningAlgorithm::Rs256 => {
            let pair = RsaKeyPair::from_pkcs8(key.pkcs8()).unwrap();
            let raw = pair.public_key().as_ref().to_vec();
            (raw, pair.public_key().as_der().unwrap().as_ref().to_vec())
        }
    };
    let body: Vec<String> = STANDARD
        .encode(&der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----",
        body.join("\n")
    );
    vec![
        format!("{pem}\n").into_bytes(),
        pem.into_bytes(),
        der,
        raw,
        key.public_jwk().to_string().into_bytes(),
        Vec::new(),
    ]
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is not an object"),
    }
}
