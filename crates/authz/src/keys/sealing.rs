//! Private keys at rest: plain, or sealed with the operator's key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD,
};
use portcullis_common::entropy::Entropy;
use portcullis_common::secret::ClientSecret;
use zeroize::Zeroizing;

use super::KeyRingError;
use crate::store::StoredPrivateKey;

/// Begins the stored text of a key that is not encrypted.
const PLAIN: &str = "plain:";
/// Begins the stored text of a key encrypted with AES-256-GCM: nonce, then ciphertext and tag.
const SEALED: &str = "aes-256-gcm:";

/// How private keys are kept.
pub(crate) struct Sealing {
    key: Option<LessSafeKey>,
}

impl Sealing {
    /// Takes the configured key, 32 bytes as base64 or hexadecimal digits.
    pub(crate) fn new(configured: Option<&ClientSecret>) -> Result<Self, KeyRingError> {
        let key = configured
            .map(|secret| {
                let bytes =
                    decode_key(secret.expose().trim()).ok_or(KeyRingError::EncryptionKeyForm)?;
                UnboundKey::new(&AES_256_GCM, bytes.as_slice())
                    .map(LessSafeKey::new)
                    .map_err(|_| KeyRingError::EncryptionKeyForm)
            })
            .transpose()?;
        Ok(Self { key })
    }

    /// The text under which a private key is stored; the key id is bound to it.
    pub(crate) fn seal(
        &self,
        kid: &str,
        pkcs8: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<StoredPrivateKey, KeyRingError> {
        let Some(key) = &self.key else {
            return Ok(StoredPrivateKey::new(format!(
                "{PLAIN}{}",
                STANDARD.encode(pkcs8)
            )));
        };
        let mut nonce = [0_u8; NONCE_LEN];
        entropy.fill(&mut nonce)?;
        let mut sealed = pkcs8.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(kid.as_bytes()),
            &mut sealed,
        )
        .map_err(|_| KeyRingError::EncryptionKeyForm)?;
        let bytes = [nonce.as_slice(), &sealed].concat();
        Ok(StoredPrivateKey::new(format!(
            "{SEALED}{}",
            STANDARD.encode(bytes)
        )))
    }

    /// The private key in a stored text.
    pub(crate) fn open(
        &self,
        kid: &str,
        stored: &StoredPrivateKey,
    ) -> Result<Zeroizing<Vec<u8>>, KeyRingError> {
        let unreadable = || KeyRingError::Unreadable {
            kid: kid.to_owned(),
        };
        let text = stored.expose();
        if let Some(plain) = text.strip_prefix(PLAIN) {
            return STANDARD
                .decode(plain)
                .map(Zeroizing::new)
                .map_err(|_| unreadable());
        }
        let sealed = text.strip_prefix(SEALED).ok_or_else(unreadable)?;
        let key = self
            .key
            .as_ref()
            .ok_or(KeyRingError::EncryptionKeyMissing)?;
        let bytes = STANDARD.decode(sealed).map_err(|_| unreadable())?;
        let (nonce, ciphertext) = bytes
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(unreadable)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(kid.as_bytes()),
                &mut buffer,
            )
            .map_err(|_| KeyRingError::EncryptionKeyWrong)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Whether a stored text lies there plain although a key to seal it with is configured.
    pub(crate) fn wants_sealing(&self, stored: &StoredPrivateKey) -> bool {
        self.key.is_some() && stored.expose().starts_with(PLAIN)
    }
}

/// 64 hexadecimal digits, or base64 of 32 bytes in either alphabet, padded or not.
fn decode_key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0_u8; 32]);
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        return Some(key);
    }
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&alphabet::STANDARD, lenient)
        .decode(text)
        .or_else(|_| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')))
        .map(Zeroizing::new)
        .ok()?;
    if bytes.len() != key.len() {
        return None;
    }
    key.copy_from_slice(&bytes);
    Some(key)
}

#[cfg(test)]
mod tests {
    use portcullis_common::entropy::SystemEntropy;

    use super::*;

    fn sealing(key: &str) -> Result<Sealing, KeyRingError> {
        Sealing::new(Some(&ClientSecret::new(key)))
    }

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";

    #[test]
    fn a_sealed_key_opens_with_the_same_key_however_it_is_written() {
        let stored = sealing(HEX)
            .unwrap()
            .seal("kid", b"pkcs8", &SystemEntropy)
            .unwrap();
        for same in [
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8=",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8=\n",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8",
        ] {
            let opened = sealing(same).unwrap().open("kid", &stored).unwrap();
            assert_eq!(opened.as_slice(), b"pkcs8");
        }
        assert!(!stored.expose().contains(&STANDARD.encode("pkcs8")));
    }

    #[test]
    fn a_sealed_key_opens_with_no_other_key_and_under_no_other_id() {
        let stored = sealing(HEX)
            .unwrap()
            .seal("kid", b"pkcs8", &SystemEntropy)
            .unwrap();
        let other = sealing(&"11".repeat(32)).unwrap().open("kid", &stored);
        assert!(matches!(other, Err(KeyRingError::EncryptionKeyWrong)));
        let moved = sealing(HEX).unwrap().open("kid2", &stored);
        assert!(matches!(moved, Err(KeyRingError::EncryptionKeyWrong)));
        let without = Sealing::new(None).unwrap().open("kid", &stored);
        assert!(matches!(without, Err(KeyRingError::EncryptionKeyMissing)));
    }

    #[test]
    fn a_plain_key_opens_with_any_configuration_and_asks_to_be_sealed_when_there_is_a_key() {
        let plain = Sealing::new(None).unwrap();
        let stored = plain.seal("kid", b"pkcs8", &SystemEntropy).unwrap();
        let with_key = sealing(HEX).unwrap();
        assert_eq!(with_key.open("kid", &stored).unwrap().as_slice(), b"pkcs8");
        assert!(with_key.wants_sealing(&stored));
        assert!(!plain.wants_sealing(&stored));
    }

    #[test]
    fn an_encryption_key_that_is_not_32_bytes_is_refused() {
        for wrong in [
            "",
            "hunter2",
            &"ab".repeat(31),
            &"ab".repeat(33),
            "AAEC",
            &"é".repeat(32),
        ] {
            assert!(
                matches!(sealing(wrong), Err(KeyRingError::EncryptionKeyForm)),
                "{wrong}"
            );
        }
    }
}
