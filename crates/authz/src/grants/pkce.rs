//! Proof Key for Code Exchange (RFC 7636), S256 alone.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::approval::CodeChallenge;

/// Whoever redeems the code is who asked for it. Made by [`CodeChallenge::verify`] alone.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct PkceVerified(());

impl CodeChallenge {
    /// Compares with a verifier, in constant time. A verifier outside the grammar is a wrong one.
    pub(crate) fn verify(&self, verifier: &str) -> Option<PkceVerified> {
        // RFC 7636 §4.6: BASE64URL-ENCODE(SHA256(ASCII(code_verifier))) == code_challenge
        let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
        let expected = URL_SAFE_NO_PAD.encode(hash);
        let is_equal: bool = expected.as_bytes().ct_eq(self.as_str().as_bytes()).into();
        (is_equal && is_verifier(verifier)).then_some(PkceVerified(()))
    }
}

/// RFC 7636 §4.1: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    let is_unreserved =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&text.len()) && text.bytes().all(is_unreserved)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn challenge_of(verifier: &str) -> CodeChallenge {
        let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
        CodeChallenge::parse(&URL_SAFE_NO_PAD.encode(hash)).unwrap()
    }

    #[test]
    fn the_example_of_the_rfc_passes() {
        let challenge =
            CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(challenge.verify(verifier).is_some());
        assert!(challenge.verify(&verifier.to_lowercase()).is_none());
        assert!(challenge.verify(challenge.as_str()).is_none());
    }

    #[test]
    fn a_verifier_outside_the_grammar_is_wrong_although_its_hash_is_right() {
        for wrong in [
            "",
            &"a".repeat(42),
            &"a".repeat(129),
            &format!("{}+", "a".repeat(43)),
        ] {
            assert!(challenge_of(wrong).verify(wrong).is_none(), "{wrong}");
        }
        for right in ["a".repeat(43), "~".repeat(128)] {
            assert!(challenge_of(&right).verify(&right).is_some(), "{right}");
        }
    }

    proptest! {
        #[test]
        fn only_the_verifier_itself_passes(one in "[A-Za-z0-9._~-]{43,128}", other in "[A-Za-z0-9._~-]{43,128}") {
            let challenge = challenge_of(&one);
            prop_assert!(challenge.verify(&one).is_some());
            prop_assert_eq!(challenge.verify(&other).is_some(), one == other);
        }
    }
}
