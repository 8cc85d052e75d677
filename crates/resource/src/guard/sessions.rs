//! Sessions of revisions up to 2025-11-25: each belongs to the subject and client that began it.
//!
//! A session id is never authentication (MCP 2025-11-25, security best practices): every request
//! still carries its own token, and a token of somebody else does not open the session.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName};
use portcullis_common::clock::{SharedClock, Timestamp};
use portcullis_common::redis::Away;
use portcullis_common::secret::SecretHash;
use portcullis_common::token::VerifiedAccessToken;

use super::Refusal;
use super::envelope::Message;
use super::shared_sessions::{SessionOwner, SharedSession, SharedSessions};

/// The header that names a session.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// How many sessions are remembered; the oldest falls first, and its client begins a new one.
const REMEMBERED: usize = 10_000;
/// How many sessions of one caller may be open: for one more, its own oldest ends, so that nobody
/// can push the sessions of others out.
pub const SESSIONS_PER_CALLER: usize = 100;
/// Longest session id, in bytes.
const MAX_BYTES: usize = 256;

/// Who began which session.
#[derive(Debug)]
pub(super) struct Sessions {
    open: Mutex<Open>,
    /// What other replicas know, where there are any.
    shared: Option<SharedSessions>,
    clock: SharedClock,
}

#[derive(Debug, Default)]
struct Open {
    owners: HashMap<SecretHash, Known>,
    /// Oldest first.
    order: VecDeque<(SecretHash, SessionOwner)>,
}

/// An owner, and when the other replicas last said so.
#[derive(Clone, Copy, Debug)]
struct Known {
    owner: SessionOwner,
    confirmed_at: Option<Timestamp>,
}

impl Sessions {
    /// No session yet.
    pub(super) fn new(shared: Option<SharedSessions>, clock: SharedClock) -> Self {
        let open = Mutex::default();
        Self {
            open,
            shared,
            clock,
        }
    }

    /// Refuses a session that this caller did not begin. Requests of newer revisions have none:
    /// the headers are taken away (MCP 2026-07-28, streamable HTTP: they are ignored).
    pub(super) async fn check(
        &self,
        headers: &mut HeaderMap,
        message: &Message<'_>,
        token: &VerifiedAccessToken,
    ) -> Result<(), Refusal> {
        if !headers.contains_key(&SESSION) {
            return Ok(());
        }
        if message.is_modern(headers) {
            headers.remove(&SESSION);
            headers.remove("last-event-id");
            return Ok(());
        }
        if let Some(session) = session_in(headers)
            && self.owner_of(session).await == Some(SessionOwner::of(token))
        {
            return Ok(());
        }
        Err(Refusal::UnknownSession { id: message.id() })
    }

    /// Remembers who began the session that an answer opens.
    pub(super) async fn note(&self, token: &VerifiedAccessToken, answer: &HeaderMap) {
        let Some(session) = session_in(answer) else {
            return;
        };
        let owner = SessionOwner::of(token);
        let is_new = self.open().add(session, owner);
        if is_new && let Some(shared) = &self.shared {
            self.confirm(session, shared.begin(session, owner).await);
        }
    }

    /// Who began a session. The other replicas are asked at most once a second about the same one:
    /// any of them may have begun or ended it.
    async fn owner_of(&self, session: SecretHash) -> Option<SessionOwner> {
        let known = self.open().owners.get(&session).copied();
        let now = self.clock.now();
        let (Some(shared), true) = (
            &self.shared,
            known.is_none_or(|known| known.confirmed_at != Some(now)),
        ) else {
            return known.map(|known| known.owner);
        };
        match (shared.find(session).await, known) {
            (Ok(SharedSession::Begun(owner)), _) => {
                self.open().add(session, owner);
                self.confirm(session, Ok(()));
                Some(owner)
            }
            (Ok(SharedSession::Ended), _) => {
                self.open().forget_session(session);
                None
            }
            // Redis has lost what it knew; we have not.
            (Ok(SharedSession::Unknown), Some(known)) => {
                self.confirm(session, shared.begin(session, known.owner).await);
                Some(known.owner)
            }
            (Err(Away), Some(known)) => Some(known.owner),
            (Ok(SharedSession::Unknown) | Err(Away), None) => None,
        }
    }

    fn confirm(&self, session: SecretHash, result: Result<(), Away>) {
        if result.is_ok()
            && let Some(known) = self.open().owners.get_mut(&session)
        {
            known.confirmed_at = Some(self.clock.now());
        }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Remembers a session; says whether it is new.
    fn add(&mut self, session: SecretHash, owner: SessionOwner) -> bool {
        if self.owners.contains_key(&session) {
            return false;
        }
        let mut own = self.order.iter().enumerate();
        let mut own = own.by_ref().filter(|(_, (_, other))| *other == owner);
        // Beginning a session is rare and the list is short: a look through it costs microseconds.
        let oldest = own.next().map(|(position, _)| position);
        if let Some(oldest) = oldest
            && own.count() + 1 >= SESSIONS_PER_CALLER
        {
            self.forget(oldest);
        }
        if self.order.len() >= REMEMBERED {
            self.forget(0);
        }
        let confirmed_at = None;
        let known = Known {
            owner,
            confirmed_at,
        };
        self.owners.insert(session, known);
        self.order.push_back((session, owner));
        true
    }

    fn forget_session(&mut self, session: SecretHash) {
        let position = self.order.iter().position(|(other, _)| *other == session);
        if let Some(position) = position {
            self.forget(position);
        }
    }

    fn forget(&mut self, position: usize) {
        if let Some((session, _)) = self.order.remove(position) {
            self.owners.remove(&session);
        }
    }
}

/// The one session id in these headers, hashed.
fn session_in(headers: &HeaderMap) -> Option<SecretHash> {
    let mut values = headers.get_all(&SESSION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let text = value.to_str().ok().filter(|text| text.len() <= MAX_BYTES)?;
            Some(SecretHash::of(text))
        }
        _ => None,
    }
}
