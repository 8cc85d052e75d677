//! Secrets that cannot be printed, and the hashes under which they are stored.

use std::fmt;

use aws_lc_rs::digest;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError, random_text};

/// The SHA-256 of a secret of at least 128 random bits; the only form in which it is stored.
///
/// A fast hash is right here: guessing 256 random bits is hopeless, with or without stretching.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hashes the text of a secret.
    pub fn of(secret: &str) -> Self {
        let mut bytes = [0_u8; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        Self(bytes)
    }

    /// The 64 lower-case hexadecimal digits that stand in the database.
    pub fn to_hex(self) -> String {
        use fmt::Write as _;
        self.0
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    /// Reads what [`Self::to_hex`] wrote; `None` if it is anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 64 || !digits.iter().all(is_digit) {
            return None;
        }
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The raw 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash")
    }
}

/// Defines a secret: no `Display`, no `Serialize`, a `Debug` that prints the type alone, memory
/// wiped on drop, and one way out, `expose`.
///
/// With `=> HashName` the hash has a type of its own, so that the hash of one kind of secret cannot
/// be looked up as another.
#[macro_export]
macro_rules! secret {
    ($(#[$attribute:meta])* $name:ident => $hash:ident) => {
        $crate::secret!(@text $(#[$attribute])* $name, $hash, $hash::of);

        #[doc = concat!("The hash under which [`", stringify!($name), "`] is stored and looked up.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $hash($crate::secret::SecretHash);

        impl $hash {
            fn of(secret: &str) -> Self {
                Self($crate::secret::SecretHash::of(secret))
            }

            /// The 64 lower-case hexadecimal digits that stand in the database.
            pub fn to_hex(self) -> String {
                self.0.to_hex()
            }
        }
    };
    ($(#[$attribute:meta])* $name:ident) => {
        $crate::secret!(
            @text $(#[$attribute])* $name,
            $crate::secret::SecretHash,
            $crate::secret::SecretHash::of
        );
    };
    (@text $(#[$attribute:meta])* $name:ident, $hash:ty, $of:path) => {
        $(#[$attribute])*
        #[derive(Clone)]
        pub struct $name($crate::secret::SecretText);

        impl $name {
            /// Wraps a secret that came from outside.
            pub fn new(text: impl Into<String>) -> Self {
                Self($crate::secret::SecretText::new(text.into()))
            }

            /// Makes a new secret of 256 random bits, as 43 characters of base64url.
            pub fn generate(
                entropy: &dyn $crate::entropy::Entropy,
            ) -> Result<Self, $crate::entropy::EntropyError> {
                Ok(Self($crate::secret::SecretText::generate(entropy)?))
            }

            /// The text itself. The only way to it, so that every use can be found by its name.
            pub fn expose(&self) -> &str {
                self.0.expose()
            }

            /// The hash under which this secret is stored and looked up.
            pub fn hash(&self) -> $hash {
                $of(self.expose())
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                formatter.write_str(stringify!($name))
            }
        }
    };
}

/// The text inside every secret type; see the macro `secret!`.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Wraps a text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// 256 random bits as base64url.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self::new(random_text::<32>(entropy)?))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText")
    }
}

secret! {
    /// The secret of a confidential client (RFC 6749 §2.3.1).
    ClientSecret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_its_text() {
        let secret = ClientSecret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {:?}", secret.hash()),
            "ClientSecret SecretHash"
        );
    }

    #[test]
    fn a_hash_survives_its_hexadecimal_form_and_nothing_else_does() {
        let hash = SecretHash::of("x");
        assert_eq!(SecretHash::from_hex(&hash.to_hex()), Some(hash));
        for wrong in ["", "zz", &"g".repeat(64), &"+1".repeat(32), &"a".repeat(65)] {
            assert!(SecretHash::from_hex(wrong).is_none(), "{wrong}");
        }
    }
}
