//! Accounts. Whatever takes something away from one ends its sessions first and its grants second:
//! an approval under way holds its session, so that its grant is seen when the second step comes.

use portcullis_common::clock::Timestamp;

use super::changes::{COUNT_CHANGE, Topic};
use super::engine::{End, read, row, transaction};
use super::{Store, StoreError};
use crate::accounts::{Account, AccountId, AccountState, PasswordHash, Role, Username};

/// The answer to a new account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InsertAccount {
    /// It is there now.
    Created,
    /// Its name belongs to another account.
    NameTaken,
}

/// The answer to a change of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeAccount {
    /// It is done.
    Changed,
    /// There is none of this name.
    Unknown,
}

/// The answer to the first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstStart {
    /// The account was made, by this very call.
    Created,
    /// There was a first start before, or somebody took the name.
    Over,
}

row! {
    struct AccountRow {
        account_id: String,
        username: String,
        email: Option<String>,
        email_verified: i64,
        role: String,
        state: String,
        password_hash: String,
        created_at: i64,
        password_changed_at: i64,
    }
}

impl AccountRow {
    fn split(self) -> Result<(Account, PasswordHash), StoreError> {
        let row = self.account_id.clone();
        let contradiction = |column| StoreError::Contradiction {
            table: "accounts",
            column,
            row: row.clone(),
        };
        let account = Account {
            id: AccountId::from_stored(self.account_id),
            username: Username::parse(&self.username).map_err(|_| contradiction("username"))?,
            email: self.email,
            email_verified: self.email_verified == 1,
            role: Role::parse(&self.role).ok_or_else(|| contradiction("role"))?,
            state: AccountState::parse(&self.state).ok_or_else(|| contradiction("state"))?,
            created_at: Timestamp::from_seconds(self.created_at),
            password_changed_at: Timestamp::from_seconds(self.password_changed_at),
        };
        Ok((account, PasswordHash::from_stored(self.password_hash)))
    }
}

const INSERT: &str = "
    INSERT INTO accounts
        (account_id, username, email, email_verified, role, state, password_hash, created_at,
         password_changed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT DO NOTHING";

/// Whoever inserts this row first has the first start.
const CLAIM_FIRST_START: &str = "
    INSERT INTO change_counters (topic, value)
    VALUES ('first_start', 1)
    ON CONFLICT DO NOTHING";

const SELECT_BY_NAME: &str = "
    SELECT account_id, username, email, email_verified, role, state, password_hash, created_at,
           password_changed_at
      FROM accounts
     WHERE username = $1";

const SELECT_ALL: &str = "
    SELECT account_id, username, email, email_verified, role, state, password_hash, created_at,
           password_changed_at
      FROM accounts
     ORDER BY created_at, username";

const END_SESSIONS: &str = "
    DELETE FROM sessions
     WHERE account_id IN (SELECT account_id FROM accounts WHERE username = $1)";

const END_GRANTS: &str = "
    UPDATE grants
       SET ended_at = $1, end_reason = $2
     WHERE ended_at IS NULL
       AND account_id IN (SELECT account_id FROM accounts WHERE username = $3)";

/// Binds the columns of an account in the order of `INSERT`.
macro_rules! insert_account {
    ($connection:expr, $account:expr, $hash:expr) => {
        sqlx::query(INSERT)
            .bind($account.id.as_str())
            .bind($account.username.as_str())
            .bind($account.email.as_deref())
            .bind(i64::from($account.email_verified))
            .bind($account.role.name())
            .bind($account.state.name())
            .bind($hash.as_str())
            .bind($account.created_at.seconds())
            .bind($account.password_changed_at.seconds())
            .execute(&mut *$connection)
            .await?
            .rows_affected()
    };
}

/// Runs one statement about one account; where it changes nothing the transaction ends here.
macro_rules! change_or_end {
    ($connection:expr, $statement:expr) => {
        if $statement.execute(&mut *$connection).await?.rows_affected() == 0 {
            return Ok(End::Undo(ChangeAccount::Unknown));
        }
    };
}

/// Ends every session and every grant of an account.
macro_rules! end_everything {
    ($connection:expr, $username:expr, $reason:expr, $now:expr) => {
        sqlx::query(END_SESSIONS)
            .bind($username.as_str())
            .execute(&mut *$connection)
            .await?;
        sqlx::query(END_GRANTS)
            .bind($now.seconds())
            .bind($reason)
            .bind($username.as_str())
            .execute(&mut *$connection)
            .await?;
        sqlx::query(COUNT_CHANGE)
            .bind(Topic::Grants.name())
            .execute(&mut *$connection)
            .await?;
    };
}

impl Store {
    /// Writes a new account, unless its name is taken.
    pub(crate) async fn insert_account(
        &self,
        account: &Account,
        hash: &PasswordHash,
    ) -> Result<InsertAccount, StoreError> {
        let (account, hash) = (account.clone(), hash.clone());
        transaction!(self, |connection| {
            Ok(match insert_account!(connection, account, hash) {
                0 => End::Undo(InsertAccount::NameTaken),
                _ => End::Keep(InsertAccount::Created),
            })
        })
    }

    /// Whether nobody has had the first start yet. What it says may be old at once; the write
    /// decides.
    pub(crate) async fn awaits_first_start(&self) -> Result<bool, StoreError> {
        let rows: Vec<(i64,)> = read!(self, |connection| {
            Ok(
                sqlx::query_as("SELECT value FROM change_counters WHERE topic = 'first_start'")
                    .fetch_all(connection)
                    .await?,
            )
        })?;
        Ok(rows.is_empty())
    }

    /// Writes the account of the first start, if this is the first start.
    pub(crate) async fn insert_first_account(
        &self,
        account: &Account,
        hash: &PasswordHash,
    ) -> Result<FirstStart, StoreError> {
        let (account, hash) = (account.clone(), hash.clone());
        transaction!(self, |connection| {
            let claimed = sqlx::query(CLAIM_FIRST_START)
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if claimed == 0 {
                return Ok(End::Undo(FirstStart::Over));
            }
            // Somebody's own account of this name stays as it is, and the first start is over.
            Ok(End::Keep(
                match insert_account!(connection, account, hash) {
                    0 => FirstStart::Over,
                    _ => FirstStart::Created,
                },
            ))
        })
    }

    /// Finds an account by its name, with the hash of its password.
    pub(crate) async fn find_account(
        &self,
        username: &Username,
    ) -> Result<Option<(Account, PasswordHash)>, StoreError> {
        let username = username.as_str().to_owned();
        let row: Option<AccountRow> = read!(self, |connection| {
            Ok(sqlx::query_as(SELECT_BY_NAME)
                .bind(username)
                .fetch_optional(connection)
                .await?)
        })?;
        row.map(AccountRow::split).transpose()
    }

    /// Reads all accounts, the oldest first.
    pub(crate) async fn load_accounts(&self) -> Result<Vec<Account>, StoreError> {
        let rows: Vec<AccountRow> = read!(self, |connection| {
            Ok(sqlx::query_as(SELECT_ALL).fetch_all(connection).await?)
        })?;
        rows.into_iter()
            .map(|row| row.split().map(|(account, _)| account))
            .collect()
    }

    /// Removes an account with its sessions, grants and remembered consents.
    pub(crate) async fn remove_account(
        &self,
        username: &Username,
    ) -> Result<ChangeAccount, StoreError> {
        let username = username.clone();
        transaction!(self, |connection| {
            // First, as an approval under way holds its session and then looks at its account.
            sqlx::query(END_SESSIONS)
                .bind(username.as_str())
                .execute(&mut *connection)
                .await?;
            let delete = sqlx::query("DELETE FROM accounts WHERE username = $1");
            change_or_end!(connection, delete.bind(username.as_str()));
            sqlx::query(COUNT_CHANGE)
                .bind(Topic::Grants.name())
                .execute(&mut *connection)
                .await?;
            Ok(End::Keep(ChangeAccount::Changed))
        })
    }

    /// Disables an account, and ends its sessions and grants.
    pub(crate) async fn disable_account(
        &self,
        username: &Username,
        now: Timestamp,
    ) -> Result<ChangeAccount, StoreError> {
        let username = username.clone();
        transaction!(self, |connection| {
            let update = sqlx::query("UPDATE accounts SET state = 'disabled' WHERE username = $1");
            change_or_end!(connection, update.bind(username.as_str()));
            end_everything!(connection, username, "account_disabled", now);
            Ok(End::Keep(ChangeAccount::Changed))
        })
    }

    /// Lets an account log in again. What had ended stays so.
    pub(crate) async fn enable_account(
        &self,
        username: &Username,
    ) -> Result<ChangeAccount, StoreError> {
        let username = username.clone();
        transaction!(self, |connection| {
            let update = sqlx::query("UPDATE accounts SET state = 'enabled' WHERE username = $1");
            change_or_end!(connection, update.bind(username.as_str()));
            Ok(End::Keep(ChangeAccount::Changed))
        })
    }

    /// Sets a new password, and ends the sessions and grants that came with the old one.
    pub(crate) async fn set_password(
        &self,
        username: &Username,
        hash: &PasswordHash,
        now: Timestamp,
    ) -> Result<ChangeAccount, StoreError> {
        let (username, hash) = (username.clone(), hash.clone());
        transaction!(self, |connection| {
            let update = sqlx::query(
                "UPDATE accounts SET password_hash = $1, password_changed_at = $2
                  WHERE username = $3",
            )
            .bind(hash.as_str())
            .bind(now.seconds());
            change_or_end!(connection, update.bind(username.as_str()));
            end_everything!(connection, username, "password_changed", now);
            Ok(End::Keep(ChangeAccount::Changed))
        })
    }

    /// Sets the role, which the next token shows.
    pub(crate) async fn set_role(
        &self,
        username: &Username,
        role: Role,
    ) -> Result<ChangeAccount, StoreError> {
        let username = username.clone();
        transaction!(self, |connection| {
            let update = sqlx::query("UPDATE accounts SET role = $1 WHERE username = $2");
            change_or_end!(connection, update.bind(role.name()).bind(username.as_str()));
            Ok(End::Keep(ChangeAccount::Changed))
        })
    }
}
