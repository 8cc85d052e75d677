//! The counters by which a running server notices what other processes changed.

use super::engine::read;
use super::{Store, StoreError};

/// What can change under a running server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Topic {
    Clients,
    Grants,
    Keys,
    Registrations,
}

impl Topic {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Grants => "grants",
            Self::Keys => "keys",
            Self::Registrations => "registrations",
        }
    }
}

/// How often each kind of thing was changed, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCounters {
    /// Changes of clients.
    pub clients: i64,
    /// Changes of signing keys.
    pub keys: i64,
    /// Changes and removals of clients that registered themselves.
    pub registrations: i64,
}

/// Counts one change; stands in every transaction that makes one, at its end unless the row is what
/// makes writers take turns.
pub(super) const COUNT_CHANGE: &str = "
    UPDATE change_counters
       SET value = value + 1
     WHERE topic = $1";

impl Store {
    /// Reads all counters: the one cheap question a server asks every second.
    pub async fn load_change_counters(&self) -> Result<ChangeCounters, StoreError> {
        let rows: Vec<(String, i64)> = read!(self, |connection| {
            Ok(sqlx::query_as("SELECT topic, value FROM change_counters")
                .fetch_all(connection)
                .await?)
        })?;
        let value = |topic: Topic| {
            rows.iter()
                .find(|(name, _)| name == topic.name())
                .map(|(_, value)| *value)
                .ok_or(StoreError::Contradiction {
                    table: "change_counters",
                    column: "topic",
                    row: topic.name().to_owned(),
                })
        };
        Ok(ChangeCounters {
            clients: value(Topic::Clients)?,
            keys: value(Topic::Keys)?,
            registrations: value(Topic::Registrations)?,
        })
    }
}
