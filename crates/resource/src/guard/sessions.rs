//! Sessions of revisions up to 2025-11-25: each belongs to the subject and client that began it.
//!
//! A session id is never authentication (MCP 2025-11-25, security best practices): every request
//! still carries its own token, and a token of somebody else does not open the session.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName};
use portcullis_common::secret::SecretHash;
use portcullis_common::token::VerifiedAccessToken;

use super::Refusal;
use super::envelope::Message;

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
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    owners: HashMap<SecretHash, Arc<Owner>>,
    /// Oldest first.
    order: VecDeque<(SecretHash, Arc<Owner>)>,
}

/// A subject means something only together with its issuer (RFC 7519 §4.1.2), and what a client
/// began is no business of another client of the same person.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    issuer: String,
    subject: String,
    client: Option<String>,
}

impl Owner {
    fn of(token: &VerifiedAccessToken) -> Self {
        Self {
            issuer: token.issuer().as_str().to_owned(),
            subject: token.subject().to_owned(),
            client: token.client().map(str::to_owned),
        }
    }
}

impl Sessions {
    /// Refuses a session that this caller did not begin. Requests of newer revisions have none:
    /// the headers are taken away (MCP 2026-07-28, streamable HTTP: they are ignored).
    pub(super) fn check(
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
        if session_in(headers).is_some_and(|session| self.is_of(&session, token)) {
            return Ok(());
        }
        Err(Refusal::UnknownSession { id: message.id() })
    }

    /// Remembers who began the session that an answer opens.
    pub(super) fn note(&self, token: &VerifiedAccessToken, answer: &HeaderMap) {
        if let Some(session) = session_in(answer) {
            self.open().add(session, Owner::of(token));
        }
    }

    fn is_of(&self, session: &SecretHash, token: &VerifiedAccessToken) -> bool {
        let open = self.open();
        open.owners
            .get(session)
            .is_some_and(|owner| **owner == Owner::of(token))
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn add(&mut self, session: SecretHash, owner: Owner) {
        if self.owners.contains_key(&session) {
            return;
        }
        let mut own = self.order.iter().enumerate();
        let mut own = own.by_ref().filter(|(_, (_, other))| **other == owner);
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
        let owner = Arc::new(owner);
        self.owners.insert(session, Arc::clone(&owner));
        self.order.push_back((session, owner));
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
