//! JSON Web Signatures: josekit's compact form, with signatures made and checked by aws-lc.
//!
//! josekit parses and prints; its own OpenSSL signers are not used, because aws-lc is two to three
//! times faster and is in the process anyway for TLS. Its claim validator must never be used: it
//! accepts a token without `exp` or `aud`.

mod signing;
mod verifying;

pub use signing::{KeyError, SigningKey};
pub use verifying::{JwkError, VerifyingKey};

/// An algorithm as josekit wants to see it: a name.
#[derive(Clone, Copy, Debug)]
struct AlgorithmName(&'static str);

impl josekit::jws::JwsAlgorithm for AlgorithmName {
    fn name(&self) -> &str {
        self.0
    }

    fn box_clone(&self) -> Box<dyn josekit::jws::JwsAlgorithm> {
        Box::new(*self)
    }
}
