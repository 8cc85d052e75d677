//! Sessions of revisions up to 2025-11-25: each belongs to the subject and client that began it.
//!
//! A session id is never authentication (MCP 2025-11-25, security best practices): every request
//! still carries its own token, and a token of somebody else does not open the session.

use http::HeaderMap;
use portcullis_common::secret::SecretHash;
use quick_cache::sync::Cache;

use super::envelope::Message;
use super::{Caller, Refusal};

const SESSION: &str = "mcp-session-id";
/// How many sessions are remembered; the least used falls first, and its client begins a new one.
const REMEMBERED: usize = 10_000;
/// Longest session id, in bytes.
const MAX_BYTES: usize = 256;

#[derive(Debug)]
pub(super) struct Sessions(Cache<SecretHash, Owner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    issuer: String,
    subject: String,
    client: Option<String>,
}

impl Owner {
    fn of(caller: &Caller) -> Self {
        Self {
            issuer: caller.issuer.clone(),
            subject: caller.subject.clone(),
            client: caller.client.clone(),
        }
    }
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self(Cache::new(REMEMBERED))
    }

    /// Refuses a session that this caller did not begin. Requests of newer revisions have none:
    /// the headers are taken away (MCP 2026-07-28, streamable HTTP: they are ignored).
    pub(super) fn check(
        &self,
        headers: &mut HeaderMap,
        message: &Message,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        if !headers.contains_key(SESSION) {
            return Ok(());
        }
        if message.is_modern(headers) {
            headers.remove(SESSION);
            headers.remove("last-event-id");
            return Ok(());
        }
        let known = session_in(headers).and_then(|session| self.0.get(&session));
        if known.is_some_and(|owner| owner == Owner::of(caller)) {
            return Ok(());
        }
        Err(Refusal::UnknownSession { id: message.id() })
    }

    /// Remembers who began the session that an answer opens.
    pub(super) fn note(&self, caller: &Caller, answer: &HeaderMap) {
        if let Some(session) = session_in(answer)
            && !self.0.contains_key(&session)
        {
            self.0.insert(session, Owner::of(caller));
        }
    }
}

/// The one session id in these headers, hashed.
fn session_in(headers: &HeaderMap) -> Option<SecretHash> {
    let mut values = headers.get_all(SESSION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let text = value.to_str().ok().filter(|text| text.len() <= MAX_BYTES)?;
            Some(SecretHash::of(text))
        }
        _ => None,
    }
}
