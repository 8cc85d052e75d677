//! Accounts: the people who log in, their passwords and their sessions.

pub mod admin;
mod lockout;
pub(crate) mod login;
mod password;
pub(crate) mod session;

use std::fmt;

use portcullis_common::clock::Timestamp;
use unicode_normalization::UnicodeNormalization as _;

pub(crate) use lockout::{Locked, LoginLimit, Pair};
pub use password::{Password, PasswordError, PasswordPoolError};
pub(crate) use password::{PasswordHash, PasswordPool};

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

/// Longest name of an account, in characters.
const MAX_USERNAME: usize = 64;

/// Why a text is not the name of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 1 to 64 characters, without spaces, colons and control characters")]
pub struct UsernameError;

/// The name of an account, in composed form (NFC) and lower case, so that two spellings are one
/// account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Username(String);

impl Username {
    /// Reads a name as a person writes it.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        // Composing shortens, at most to a third: what is longer than this cannot become right.
        if text.chars().count() > 4 * MAX_USERNAME {
            return Err(UsernameError);
        }
        let composed: String = text
            .nfc()
            .collect::<String>()
            .to_lowercase()
            .nfc()
            .collect();
        let forbidden =
            |c: char| c == ':' || c.is_control() || c.is_whitespace() || is_invisible(c);
        let length = composed.chars().count();
        if !(1..=MAX_USERNAME).contains(&length) || composed.chars().any(forbidden) {
            return Err(UsernameError);
        }
        Ok(Self(composed))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Marks of direction and joiners of zero width: two names that look alike must be alike.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

impl fmt::Display for Username {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What an account may do beyond its own matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Nothing.
    User,
    /// Administration.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 2] = [Self::Admin, Self::User];

    /// The name, as it stands in tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// Reads the name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Whether an account may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// It may.
    Enabled,
    /// It may not, and what it allowed has ended.
    Disabled,
}

impl AccountState {
    /// The name, as it stands in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }

    /// Reads the name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Enabled, Self::Disabled]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// An account, without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The subject of its tokens.
    pub id: AccountId,
    /// The name by which its person logs in.
    pub username: Username,
    /// An address for mail.
    pub email: Option<String>,
    /// Whether somebody made sure that the address is the person's.
    pub email_verified: bool,
    /// What it may do.
    pub role: Role,
    /// Whether it may log in.
    pub state: AccountState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its password was set.
    pub password_changed_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let parsed = Username::parse(text).ok();
        assert_eq!(parsed.as_ref().map(Username::as_str), expected, "{text:?}");
    }

    #[test]
    fn two_spellings_are_one_name() {
        check("Alice", Some("alice"));
        check("JOSE\u{301}", Some("jos\u{e9}"));
        check("jos\u{e9}", Some("jos\u{e9}"));
        check("a@b.example", Some("a@b.example"));
    }

    #[test]
    fn a_name_that_could_be_mistaken_is_refused() {
        for wrong in [
            "",
            "client:x",
            "a b",
            "a\nb",
            "a\u{200b}b",
            "a\u{202e}b",
            "a\0b",
            &"x".repeat(65),
            &"x".repeat(100_000),
        ] {
            check(wrong, None);
        }
    }
}
