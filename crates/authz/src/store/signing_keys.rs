//! Signing keys: next, active, retired.

use std::fmt;

use portcullis_common::clock::Timestamp;
use portcullis_common::config::SigningAlgorithm;

use super::changes::{COUNT_CHANGE, Topic};
use super::engine::{End, read, row, transaction};
use super::{Store, StoreError};

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, and not used yet: it becomes active at the next rotation.
    Next,
    /// Signs.
    Active,
    /// No longer signs, and is published while tokens it signed may live.
    Retired,
}

impl KeyState {
    /// The word in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Next, Self::Active, Self::Retired]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

/// A private key as it lies in the store: text that begins with how it is kept. Its `Debug` prints
/// nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPrivateKey(String);

impl StoredPrivateKey {
    /// Wraps what the key module made.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoredPrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoredPrivateKey")
    }
}

/// A key that was just made.
#[derive(Clone, Debug)]
pub struct NewSigningKey {
    /// The key id.
    pub kid: String,
    /// The algorithm of its signatures.
    pub algorithm: SigningAlgorithm,
    /// The private half.
    pub private_key: StoredPrivateKey,
}

/// A key in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// The key id.
    pub kid: String,
    /// The algorithm of its signatures.
    pub algorithm: SigningAlgorithm,
    /// Where it stands in its life.
    pub state: KeyState,
    /// The private half.
    pub private_key: StoredPrivateKey,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When it ceased to sign.
    pub retired_at: Option<Timestamp>,
    /// When it leaves the published set.
    pub published_until: Option<Timestamp>,
}

/// The answer to the first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialiseKeys {
    /// The keys are ours.
    Created,
    /// Another process was first; its keys count.
    AlreadyThere,
}

/// The answer to a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateKeys {
    /// The next key signs now.
    Rotated,
    /// The keys were no longer the ones named: another process was first.
    Lost,
}

row! {
    struct KeyRow {
        kid: String,
        algorithm: String,
        state: String,
        private_key: String,
        created_at: i64,
        activated_at: Option<i64>,
        retired_at: Option<i64>,
        published_until: Option<i64>,
    }
}

impl TryFrom<KeyRow> for SigningKeyRecord {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let contradiction = |column| StoreError::Contradiction {
            table: "signing_keys",
            column,
            row: row.kid.clone(),
        };
        Ok(Self {
            algorithm: SigningAlgorithm::parse(&row.algorithm)
                .ok_or_else(|| contradiction("algorithm"))?,
            state: KeyState::parse(&row.state).ok_or_else(|| contradiction("state"))?,
            private_key: StoredPrivateKey(row.private_key),
            created_at: Timestamp::from_seconds(row.created_at),
            activated_at: row.activated_at.map(Timestamp::from_seconds),
            retired_at: row.retired_at.map(Timestamp::from_seconds),
            published_until: row.published_until.map(Timestamp::from_seconds),
            kid: row.kid,
        })
    }
}

/// Writes a key unless the place it wants is taken (by `signing_keys_one_live`).
const INSERT_KEY: &str = "
    INSERT INTO signing_keys
        (kid, algorithm, state, private_key, created_at, activated_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING";

const RETIRE_KEY: &str = "
    UPDATE signing_keys
       SET state = 'retired', retired_at = $1, published_until = $2
     WHERE kid = $3
       AND state = 'active'";

const ACTIVATE_KEY: &str = "
    UPDATE signing_keys
       SET state = 'active', activated_at = $1
     WHERE kid = $2
       AND state = 'next'";

/// Binds a new key to [`INSERT_KEY`].
macro_rules! insert_key {
    ($connection:expr, $key:expr, $state:expr, $now:expr) => {
        sqlx::query(INSERT_KEY)
            .bind($key.kid)
            .bind($key.algorithm.name())
            .bind($state.name())
            .bind($key.private_key.0)
            .bind($now.seconds())
            .bind(matches!($state, KeyState::Active).then_some($now.seconds()))
            .execute(&mut *$connection)
            .await?
            .rows_affected()
    };
}

macro_rules! count_key_change {
    ($connection:expr) => {
        sqlx::query(COUNT_CHANGE)
            .bind(Topic::Keys.name())
            .execute(&mut *$connection)
            .await?
    };
}

impl Store {
    /// Reads all keys, in the order in which they are published: active, next, retired; the
    /// youngest first.
    pub async fn load_signing_keys(&self) -> Result<Vec<SigningKeyRecord>, StoreError> {
        let rows: Vec<KeyRow> = read!(self, |connection| {
            Ok(sqlx::query_as(
                "SELECT kid, algorithm, state, private_key, created_at, activated_at, retired_at,
                        published_until
                   FROM signing_keys
                  ORDER BY CASE state WHEN 'active' THEN 0 WHEN 'next' THEN 1 ELSE 2 END,
                        retired_at DESC, kid",
            )
            .fetch_all(connection)
            .await?)
        })?;
        rows.into_iter().map(SigningKeyRecord::try_from).collect()
    }

    /// Writes the first two keys of a new store, unless another process was first.
    pub async fn initialise_signing_keys(
        &self,
        active: NewSigningKey,
        next: NewSigningKey,
        now: Timestamp,
    ) -> Result<InitialiseKeys, StoreError> {
        transaction!(self, |connection| {
            let first = insert_key!(connection, active, KeyState::Active, now);
            let second = insert_key!(connection, next, KeyState::Next, now);
            if first + second < 2 {
                return Ok(End::Undo(InitialiseKeys::AlreadyThere));
            }
            count_key_change!(connection);
            Ok(End::Keep(InitialiseKeys::Created))
        })
    }

    /// Retires the active key, lets the next one sign, and writes a new next one; all of it only if
    /// both are still the ones named.
    pub async fn rotate_signing_keys(
        &self,
        (active, next): (String, String),
        new_next: NewSigningKey,
        now: Timestamp,
        published_until: Timestamp,
    ) -> Result<RotateKeys, StoreError> {
        transaction!(self, |connection| {
            let retired = sqlx::query(RETIRE_KEY)
                .bind(now.seconds())
                .bind(published_until.seconds())
                .bind(active)
                .execute(&mut *connection)
                .await?
                .rows_affected();
            let activated = sqlx::query(ACTIVATE_KEY)
                .bind(now.seconds())
                .bind(next)
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if (retired, activated) != (1, 1) {
                return Ok(End::Undo(RotateKeys::Lost));
            }
            insert_key!(connection, new_next, KeyState::Next, now);
            count_key_change!(connection);
            Ok(End::Keep(RotateKeys::Rotated))
        })
    }

    /// Retires the active key, drops the next one, which never signed, and writes two others in
    /// their place; all of it only if the active one is still the one named.
    pub async fn replace_signing_keys(
        &self,
        active: String,
        (new_active, new_next): (NewSigningKey, NewSigningKey),
        now: Timestamp,
        published_until: Timestamp,
    ) -> Result<RotateKeys, StoreError> {
        transaction!(self, |connection| {
            let retired = sqlx::query(RETIRE_KEY)
                .bind(now.seconds())
                .bind(published_until.seconds())
                .bind(active)
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if retired != 1 {
                return Ok(End::Undo(RotateKeys::Lost));
            }
            sqlx::query("DELETE FROM signing_keys WHERE state = 'next'")
                .execute(&mut *connection)
                .await?;
            insert_key!(connection, new_active, KeyState::Active, now);
            insert_key!(connection, new_next, KeyState::Next, now);
            count_key_change!(connection);
            Ok(End::Keep(RotateKeys::Rotated))
        })
    }

    /// Replaces the stored form of one private key, if it is still the form named.
    pub async fn reseal_signing_key(
        &self,
        kid: String,
        old: StoredPrivateKey,
        new: StoredPrivateKey,
    ) -> Result<(), StoreError> {
        transaction!(self, |connection| {
            sqlx::query(
                "UPDATE signing_keys
                    SET private_key = $1
                  WHERE kid = $2
                    AND private_key = $3",
            )
            .bind(new.0)
            .bind(kid)
            .bind(old.0)
            .execute(&mut *connection)
            .await?;
            Ok(End::Keep(()))
        })
    }

    /// Deletes retired keys whose tokens have all ended; answers how many there were.
    pub async fn sweep_signing_keys(&self, now: Timestamp) -> Result<u64, StoreError> {
        transaction!(self, |connection| {
            let swept = sqlx::query(
                "DELETE FROM signing_keys
                  WHERE state = 'retired'
                    AND published_until <= $1",
            )
            .bind(now.seconds())
            .execute(&mut *connection)
            .await?
            .rows_affected();
            if swept > 0 {
                count_key_change!(connection);
            }
            Ok(End::Keep(swept))
        })
    }
}
