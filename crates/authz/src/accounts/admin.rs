//! What an operator does with accounts, beside a running server or without one.

use portcullis_common::clock::Clock;
use portcullis_common::entropy::{Entropy, EntropyError, random_text};

use super::{
    Account, AccountId, AccountState, Password, PasswordError, PasswordPool, PasswordPoolError,
    Role, Username, UsernameError,
};
use crate::store::{ChangeAccount, FirstStart, InsertAccount, Store, StoreError};

/// Random bytes of an account id.
const ID_BYTES: usize = 16;
/// Longest address for mail, in bytes (RFC 5321 §4.5.3.1.3).
const MAX_EMAIL: usize = 254;
/// The account of the first start.
const FIRST: &str = "admin";

/// What an operator says about a new account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its name.
    pub username: String,
    /// An address for mail.
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Its first password.
    pub password: String,
}

/// The account that the first start made.
#[derive(Clone, Debug)]
pub struct FirstAccount {
    /// Its name.
    pub username: Username,
    /// Its password, which is shown this once.
    pub password: Password,
}

/// Why an account was not made or not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountAdminError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The random source failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The name cannot be one.
    #[error(transparent)]
    Username(#[from] UsernameError),
    /// The password cannot be one.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] PasswordPoolError),
    /// The address cannot be one.
    #[error("an e-mail address has one @ with something on both sides, and at most 254 characters")]
    Email,
    /// Another account has the name.
    #[error("there is a user {0} already")]
    NameTaken(Username),
    /// No account has the name.
    #[error("there is no user {0}")]
    Unknown(Username),
}

/// Makes an account.
pub async fn add(
    store: &Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    new: NewAccount,
) -> Result<Account, AccountAdminError> {
    let username = Username::parse(&new.username)?;
    let email = new.email.map(check_email).transpose()?;
    let password = Password::parse(&new.password)?;
    let hash = PasswordPool::new().hash(password, entropy).await?;
    let account = Account {
        email,
        role: new.role,
        ..fresh(username, clock, entropy)?
    };
    match store.insert_account(&account, &hash).await? {
        InsertAccount::Created => Ok(account),
        InsertAccount::NameTaken => Err(AccountAdminError::NameTaken(account.username)),
    }
}

/// Makes the account of the first start with a random password, unless there was a first start
/// before. Of several processes that start together, one gets it.
pub async fn add_first(
    store: &Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Option<FirstAccount>, AccountAdminError> {
    if !store.awaits_first_start().await? {
        return Ok(None);
    }
    let password = Password::generate(entropy)?;
    let hash = PasswordPool::new().hash(password.clone(), entropy).await?;
    let account = Account {
        role: Role::Admin,
        ..fresh(Username::parse(FIRST)?, clock, entropy)?
    };
    Ok(match store.insert_first_account(&account, &hash).await? {
        FirstStart::Created => Some(FirstAccount {
            username: account.username,
            password,
        }),
        FirstStart::Over => None,
    })
}

/// Lists all accounts, the oldest first.
pub async fn list(store: &Store) -> Result<Vec<Account>, AccountAdminError> {
    Ok(store.load_accounts().await?)
}

/// Removes an account. Its sessions and grants end with it; access tokens live on until they
/// expire.
pub async fn remove(store: &Store, username: &str) -> Result<Username, AccountAdminError> {
    let username = Username::parse(username)?;
    let answer = store.remove_account(&username).await?;
    known(username, answer)
}

/// Keeps an account from logging in, and ends its sessions and grants.
pub async fn disable(
    store: &Store,
    clock: &dyn Clock,
    username: &str,
) -> Result<Username, AccountAdminError> {
    let username = Username::parse(username)?;
    let answer = store.disable_account(&username, clock.now()).await?;
    known(username, answer)
}

/// Lets an account log in again.
pub async fn enable(store: &Store, username: &str) -> Result<Username, AccountAdminError> {
    let username = Username::parse(username)?;
    let answer = store.enable_account(&username).await?;
    known(username, answer)
}

/// Sets a new password, and ends every session and grant.
pub async fn set_password(
    store: &Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    username: &str,
    password: &str,
) -> Result<Username, AccountAdminError> {
    let username = Username::parse(username)?;
    let password = Password::parse(password)?;
    let hash = PasswordPool::new().hash(password, entropy).await?;
    let answer = store.set_password(&username, &hash, clock.now()).await?;
    known(username, answer)
}

/// Sets the role, which the next token shows.
pub async fn set_role(
    store: &Store,
    username: &str,
    role: Role,
) -> Result<Username, AccountAdminError> {
    let username = Username::parse(username)?;
    let answer = store.set_role(&username, role).await?;
    known(username, answer)
}

fn known(username: Username, answer: ChangeAccount) -> Result<Username, AccountAdminError> {
    match answer {
        ChangeAccount::Changed => Ok(username),
        ChangeAccount::Unknown => Err(AccountAdminError::Unknown(username)),
    }
}

fn fresh(
    username: Username,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Account, EntropyError> {
    let now = clock.now();
    Ok(Account {
        id: AccountId::from_stored(random_text::<ID_BYTES>(entropy)?),
        username,
        email: None,
        email_verified: false,
        role: Role::User,
        state: AccountState::Enabled,
        created_at: now,
        password_changed_at: now,
    })
}

fn check_email(email: String) -> Result<String, AccountAdminError> {
    let is_plain =
        email.len() <= MAX_EMAIL && !email.chars().any(|c| c.is_control() || c.is_whitespace());
    match email.split_once('@') {
        Some((name, host))
            if is_plain && !name.is_empty() && !host.is_empty() && !host.contains('@') =>
        {
            Ok(email)
        }
        _ => Err(AccountAdminError::Email),
    }
}
