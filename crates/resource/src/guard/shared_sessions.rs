//! Sessions that any replica may go on with, in Redis.

use std::time::Duration;

use portcullis_common::redis::{Away, SharedRedis};
use portcullis_common::secret::SecretHash;
use portcullis_common::token::VerifiedAccessToken;

/// How long a session may be silent before it is forgotten.
pub const SESSION_IDLE: Duration = Duration::from_mins(5);
/// Stands where an owner stood: the session was ended, and no replica may go on with it.
const ENDED: &[u8] = b"ended";

/// Who began a session, as a fingerprint: a subject means something only together with its issuer
/// (RFC 7519 §4.1.2), and what a client began is no business of another client of the same person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionOwner(SecretHash);

impl SessionOwner {
    pub(super) fn of(token: &VerifiedAccessToken) -> Self {
        let issuer = token.issuer().as_str();
        // A list in JSON cannot be taken for another one, whatever stands in its texts.
        let who = serde_json::json!([issuer, token.subject(), token.client()]);
        Self(SecretHash::of(&who.to_string()))
    }
}

/// What the replicas know of a session together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SharedSession {
    Begun(SessionOwner),
    Ended,
    Unknown,
}

/// What replicas tell each other of sessions. A session that is used lives on; one that is silent
/// for [`SESSION_IDLE`] ends by itself. The id itself is never written, only its hash.
#[derive(Clone, Debug)]
pub struct SharedSessions(SharedRedis);

impl SharedSessions {
    /// Shares them over this Redis.
    pub const fn new(redis: SharedRedis) -> Self {
        Self(redis)
    }

    /// Says who began a session, unless that is known.
    pub(super) async fn begin(&self, id: SecretHash, owner: SessionOwner) -> Result<(), Away> {
        let text = owner.0.to_hex();
        let key = owner_key(id);
        // One that was ended elsewhere in this moment stays ended.
        let is_first = self.0.set_if_absent(&key, text.as_bytes(), SESSION_IDLE);
        is_first.await.map(|_| ())
    }

    /// Finds a session and lets it live on.
    pub(super) async fn find(&self, id: SecretHash) -> Result<SharedSession, Away> {
        let (owner, state) = (owner_key(id), state_key(id));
        let found = tokio::join!(
            self.0.find_and_keep(&owner, SESSION_IDLE),
            self.0.find_and_keep(&state, SESSION_IDLE)
        );
        Ok(match found.0? {
            None => SharedSession::Unknown,
            Some(text) => std::str::from_utf8(&text)
                .ok()
                .and_then(SecretHash::from_hex)
                .map_or(SharedSession::Ended, |hash| {
                    SharedSession::Begun(SessionOwner(hash))
                }),
        })
    }

    /// Lets every replica know that a session is over.
    pub(crate) async fn end(&self, id: &str) -> Result<(), Away> {
        let id = SecretHash::of(id);
        self.0.set(&owner_key(id), ENDED, SESSION_IDLE).await?;

        self.0.delete(&state_key(id)).await.map(|_| ())
    }

    /// What a replica must know to go on with a session that another one began.
    pub(crate) async fn state(&self, id: &str) -> Result<Option<Vec<u8>>, Away> {
        self.0.find(&state_key(SecretHash::of(id))).await
    }

    /// Writes what other replicas must know to go on with a session.
    pub(crate) async fn keep_state(&self, id: &str, state: &[u8]) -> Result<(), Away> {
        self.0
            .set(&state_key(SecretHash::of(id)), state, SESSION_IDLE)
            .await
    }
}

fn owner_key(id: SecretHash) -> String {
    format!("mcp-owner:{}", id.to_hex())
}

fn state_key(id: SecretHash) -> String {
    format!("mcp-state:{}", id.to_hex())
}
