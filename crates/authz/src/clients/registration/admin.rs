//! Invitations, which operators make.

use std::time::Duration;

use portcullis_common::clock::{Clock, Timestamp};
use portcullis_common::entropy::{Entropy, EntropyError};

use super::InitialAccessToken;
use crate::store::{Store, StoreError};

/// An invitation that was just made.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Its token, which is shown this once.
    pub token: InitialAccessToken,
    /// How many clients it lets register.
    pub uses: u32,
    /// When it ends, used up or not.
    pub expires_at: Timestamp,
}

/// Why there is no invitation.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The random source failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// It could never be used.
    #[error("an invitation is for at least one client")]
    NoUses,
}

/// Makes an invitation. Running servers accept it at once.
pub async fn invite(
    store: &Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    uses: u32,
    ttl: Duration,
) -> Result<Invitation, InviteError> {
    if uses == 0 {
        return Err(InviteError::NoUses);
    }
    let token = InitialAccessToken::generate(entropy)?;
    let now = clock.now();
    let expires_at = now.plus(ttl);
    store
        .insert_initial_access_token(token.hash(), uses, now, expires_at)
        .await?;
    Ok(Invitation {
        token,
        uses,
        expires_at,
    })
}
