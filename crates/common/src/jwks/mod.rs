//! Key sets of issuers, fetched seldom and kept long.
//!
//! One fetch at a time, at most one per cooldown, never a lock across it. A set that is empty or
//! broken counts as no answer; while an issuer does not answer, its last good set is served.

mod cache;
mod key_set;
mod shared;
mod source;

pub use cache::{Freshness, JwksCache, KeyLookup};
pub use key_set::{JwkSetError, KeySet};
pub use shared::SharedKeys;
pub use source::{DiscoveryError, KeySource, LoadedKeys, PublishedKeys};
