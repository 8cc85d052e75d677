//! Lua that Redis runs in one go, with nobody in between.

use std::fmt::Write as _;

use aws_lc_rs::digest;

/// A script with the name under which Redis remembers it.
#[derive(Clone, Debug)]
pub struct Script {
    text: &'static str,
    sha1: String,
}

impl Script {
    /// A script. Its names of keys come in `KEYS`, everything else in `ARGV`.
    pub fn new(text: &'static str) -> Self {
        // SHA-1 is how Redis names scripts; it protects nothing here.
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let mut sha1 = String::with_capacity(40);
        for byte in digest.as_ref() {
            let _ = write!(sha1, "{byte:02x}");
        }
        Self { text, sha1 }
    }

    pub(super) const fn text(&self) -> &'static str {
        self.text
    }

    pub(super) fn sha1(&self) -> &str {
        &self.sha1
    }
}
