//! Random bytes that a test can repeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_common::entropy::{Entropy, EntropyError};
use portcullis_common::secret::SecretHash;

/// A generator whose bytes follow from its seed alone: SHA-256 of seed and position.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    position: AtomicU64,
}

impl SeededEntropy {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            seed,
            position: AtomicU64::new(0),
        })
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in buffer.chunks_mut(32) {
            let position = self.position.fetch_add(1, Ordering::SeqCst);
            let block = SecretHash::of(&format!("{}:{position}", self.seed));
            let (bytes, _) = block.as_bytes().split_at(chunk.len());
            chunk.copy_from_slice(bytes);
        }
        Ok(())
    }
}
