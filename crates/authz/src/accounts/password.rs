//! Passwords: Argon2id on a bounded pool of threads.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use portcullis_common::entropy::{Entropy, EntropyError};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// Memory of one hash, in KiB; passes; lanes (OWASP's first choice for Argon2id).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Random bytes of a salt (RFC 9106 §3.1).
const SALT_BYTES: usize = 16;
/// Longest password, in bytes of UTF-8 as it was sent. Nothing is cut off.
const MAX_BYTES: usize = 1024;
/// Hashes that may wait per core; at 25 ms each, the last one waits less than a second.
const WAITING_PER_CORE: usize = 32;

/// Why a text is not a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has 1 to 1024 bytes")]
pub struct PasswordError;

/// A password as a person chose it, in composed form (NFC), because keyboards differ in how they
/// write the same character.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password.
    pub fn parse(text: &str) -> Result<Self, PasswordError> {
        if !(1..=MAX_BYTES).contains(&text.len()) {
            return Err(PasswordError);
        }
        Ok(Self(Zeroizing::new(text.nfc().collect())))
    }

    /// Makes one of 120 random bits, easy to read and to type: five groups of letters and digits
    /// that cannot be mistaken for each other.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
        let mut bytes = Zeroizing::new([0_u8; 24]);
        entropy.fill(bytes.as_mut())?;
        let mut text = Zeroizing::new(String::with_capacity(32));
        for (position, byte) in bytes.iter().enumerate() {
            if position > 0 && position % 6 == 0 {
                text.push('-');
            }
            let letter = ALPHABET.get(usize::from(byte & 31)).copied();
            text.push(char::from(letter.unwrap_or(b'a')));
        }
        Ok(Self(text))
    }

    /// The text itself. The only way to it, so that every use can be found by its name.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password")
    }
}

/// An Argon2id hash as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash(String);

impl PasswordHash {
    /// Takes a hash as the store has it.
    pub(crate) const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The PHC string.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PasswordHash")
    }
}

/// Why a password was not hashed or compared.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PasswordPoolError {
    /// Too many wait already.
    #[error("too many passwords wait to be hashed")]
    Busy,
    /// The random source failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The library refused, or its thread died.
    #[error("a password could not be hashed: {0}")]
    Failed(String),
}

/// Hashes passwords: as many at a time as there are cores, a bounded number waiting, and the rest
/// turned away at once. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct PasswordPool {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// What the password of an unknown account is compared with.
    nobody: PasswordHash,
}

impl PasswordPool {
    /// A pool for this machine.
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        // No password has this hash; comparing with it costs what comparing with a real one does.
        let nobody = format!(
            "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${}",
            "A".repeat(22),
            "A".repeat(43)
        );
        Self {
            running: Arc::new(Semaphore::new(cores)),
            waiting: Arc::new(Semaphore::new(cores * WAITING_PER_CORE)),
            nobody: PasswordHash(nobody),
        }
    }

    /// Hashes a new password.
    pub(crate) async fn hash(
        &self,
        password: Password,
        entropy: &dyn Entropy,
    ) -> Result<PasswordHash, PasswordPoolError> {
        let mut salt = [0_u8; SALT_BYTES];
        entropy.fill(&mut salt)?;
        self.run(move || {
            let hash = argon2()?.hash_password_with_salt(password.expose().as_bytes(), &salt);
            Ok(PasswordHash(hash.map_err(failed)?.to_string()))
        })
        .await
    }

    /// Compares a password with the hash of an account, or with nobody's, at the same cost.
    pub(crate) async fn verify(
        &self,
        password: Password,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, PasswordPoolError> {
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).clone();
        self.run(move || {
            let result = argon2()?.verify_password(password.expose().as_bytes(), hash.as_str());
            match result {
                Ok(()) => Ok(is_somebody),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(failed(error)),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordPoolError> + Send + 'static,
    ) -> Result<T, PasswordPoolError> {
        let place = Arc::clone(&self.waiting)
            .try_acquire_owned()
            .map_err(|_| PasswordPoolError::Busy)?;
        let turn = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(failed)?;
        // By this line a test counts what an attempt costs.
        tracing::trace!("a password is hashed");
        // The permits go along: a caller that hangs up does not free the core it still uses.
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((turn, place));
            result
        });
        task.await.map_err(failed)?
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordPoolError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn failed(error: impl std::fmt::Display) -> PasswordPoolError {
    PasswordPoolError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use portcullis_common::entropy::SystemEntropy;

    use super::*;

    async fn check(chosen: &str, entered: &str, expected: bool) {
        let pool = PasswordPool::new();
        let hash = pool
            .hash(Password::parse(chosen).unwrap(), &SystemEntropy)
            .await
            .unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let entered = Password::parse(entered).unwrap();
        assert_eq!(pool.verify(entered, Some(&hash)).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn a_password_counts_whole_and_in_composed_form() {
        check("correct horse", "correct horse", true).await;
        check("correct horse", "correct horsf", false).await;
        check("cafe\u{301}", "caf\u{e9}", true).await;
        check("a\0b", "a\0c", false).await;
        let long = "x".repeat(72);
        check(&format!("{long}a"), &format!("{long}b"), false).await;
        check(&"y".repeat(1024), &"y".repeat(1024), true).await;
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        let pool = PasswordPool::new();
        let password = Password::parse("x").unwrap();
        assert!(!pool.verify(password, None).await.unwrap());
    }

    #[tokio::test]
    async fn more_than_may_wait_are_turned_away_at_once() {
        let pool = PasswordPool::new();
        let all = u32::try_from(pool.waiting.available_permits()).unwrap();
        let held = pool.waiting.try_acquire_many(all).unwrap();
        let password = || Password::parse("x").unwrap();
        let refused = pool.verify(password(), None).await;
        assert!(matches!(refused, Err(PasswordPoolError::Busy)));
        drop(held);
        assert!(!pool.verify(password(), None).await.unwrap());
    }

    #[test]
    fn a_password_has_bounds_and_a_generated_one_is_within_them() {
        assert!(Password::parse("").is_err());
        assert!(Password::parse(&"x".repeat(1025)).is_err());
        let made = Password::generate(&SystemEntropy).unwrap();
        assert_eq!(made.expose().len(), 27);
        assert_eq!(format!("{made:?}"), "Password");
    }
}
