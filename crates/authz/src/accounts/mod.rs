//! Accounts: the people who log in.

pub(crate) mod session;

/// The id of an account, which is the subject of its tokens: random, and never with a colon, so
/// that no client can be meant (RFC 9068 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountId(String);

impl AccountId {
    /// Takes an id as the store or a verified token has it.
    pub(crate) fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
