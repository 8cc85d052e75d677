//! The session of a browser.

use portcullis_common::clock::Timestamp;

use super::{Account, Username};
use crate::state::AppState;
use crate::store::StoreError;

portcullis_common::secret! {
    /// The id of a browser session, which its cookie holds: 256 random bits, new at every login.
    SessionId => SessionHash
}

portcullis_common::secret! {
    /// The handle of an authorization request that waits for its person.
    RequestHandle => RequestHandleHash
}

/// A session that lives, with the account of its person.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) hash: SessionHash,
    pub(crate) account: Account,
    /// When the person proved who they are.
    pub(crate) authenticated_at: Timestamp,
}

/// A session as it is stored, which may be over.
#[derive(Clone, Debug)]
pub(crate) struct SessionRecord {
    pub(crate) account: Account,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl Session {
    /// Finds the session of a cookie, and notes that it is in use. A value that we did not hand
    /// out, or whose time is over, is none.
    pub(crate) async fn find(state: &AppState, id: &SessionId) -> Result<Option<Self>, StoreError> {
        let hash = id.hash();
        let Some(record) = state.store().find_session(hash).await? else {
            return Ok(None);
        };
        let now = state.clock().now();
        let idle_ttl = state.config().authz.session_idle_ttl;
        let ends_at = record.expires_at.min(record.last_seen_at.plus(idle_ttl));
        if now >= ends_at {
            return Ok(None);
        }
        // Not at every request: a tenth of the idle time is exact enough.
        let step = (idle_ttl / 10).min(std::time::Duration::from_mins(1));
        if now.since(record.last_seen_at) > step {
            state.store().touch_session(hash, now).await?;
        }
        Ok(Some(Self {
            hash,
            account: record.account,
            authenticated_at: record.authenticated_at,
        }))
    }

    /// The name of its person.
    pub(crate) const fn username(&self) -> &Username {
        &self.account.username
    }
}
