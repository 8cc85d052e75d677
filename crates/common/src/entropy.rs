//! Randomness, handed in.

use std::fmt::Debug;
use std::sync::Arc;

/// The random source of the operating system could not be read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system's random source failed")]
pub struct EntropyError;

/// Where random bytes come from.
///
/// Everything made from it (codes, tokens, secrets, `jti`) carries 128 bits or more, as OAuth 2.1
/// §7.7 asks; secrets carry 256.
pub trait Entropy: Send + Sync + Debug {
    /// Fills the whole buffer with random bytes, or leaves it unusable and fails.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError>;
}

/// The random source as it is passed around.
pub type SharedEntropy = Arc<dyn Entropy>;

/// The random source of the operating system, through aws-lc's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where randomness is read"
        )]
        aws_lc_rs::rand::fill(buffer).map_err(|_| EntropyError)
    }
}

/// `N` random bytes as base64url text without padding.
pub fn random_text<const N: usize>(entropy: &dyn Entropy) -> Result<String, EntropyError> {
    use base64::Engine as _;
    let mut bytes = [0_u8; N];
    entropy.fill(&mut bytes)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}
