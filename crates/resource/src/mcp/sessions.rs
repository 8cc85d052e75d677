//! Sessions of the protocol revisions before 2026-07-28, bounded in number and idle time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_core::Stream;
use rmcp::model::{ClientJsonRpcMessage, GetExtensions as _, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::SessionManager;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::{
    RestoreOutcome, ServerSseMessage, SessionId,
};

use crate::guard::{Caller, SharedSessions};

/// Sessions in memory, at most so many in all and so many of one caller.
///
/// When there are too many, the oldest ends to make room: its client gets 404 and starts a new one
/// (MCP 2025-11-25, session management). A caller that has too many makes room of its own. A session
/// id is never authentication: the guard binds it to the subject and client that opened it.
#[derive(Debug)]
pub struct BoundedSessions {
    inner: Arc<LocalSessionManager>,
    /// Open sessions, oldest first.
    open: Mutex<VecDeque<OpenSession>>,
    limits: SessionLimits,
    /// Where other replicas learn that one ended.
    shared: Option<SharedSessions>,
}

/// How many sessions there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// How many may be open at once.
    pub all: usize,
    /// How many of them may be of one caller.
    pub per_caller: usize,
    /// How long one may be silent.
    pub idle: Duration,
}

#[derive(Debug)]
struct OpenSession {
    id: SessionId,
    /// Known as soon as the first message has been read.
    owner: Option<Owner>,
}

/// Issuer, subject and client.
type Owner = (String, String, Option<String>);

impl BoundedSessions {
    /// No session yet, and at most so many.
    pub fn new(limits: SessionLimits, shared: Option<SharedSessions>) -> Self {
        let mut inner = LocalSessionManager::default();
        inner.session_config.keep_alive = Some(limits.idle);
        inner.session_config.init_timeout = Some(Duration::from_secs(10));
        Self {
            inner: Arc::new(inner),
            open: Mutex::default(),
            limits,
            shared,
        }
    }

    /// Notes a new session, and answers the one that must go for it.
    fn admit(&self, id: SessionId) -> Option<SessionId> {
        let mut open = self.open();
        open.push_back(OpenSession { id, owner: None });
        if open.len() > self.limits.all.max(1) {
            open.pop_front().map(|oldest| oldest.id)
        } else {
            None
        }
    }

    /// Notes whose session it is, and answers the one of the same caller that must go for it.
    fn assign(&self, id: &SessionId, owner: Owner) -> Option<SessionId> {
        let mut open = self.open();
        let is_own = |session: &OpenSession| session.owner.as_ref() == Some(&owner);
        let oldest = open.iter().position(is_own);
        let count = open.iter().filter(|session| is_own(session)).count();
        if let Some(session) = open.iter_mut().find(|session| session.id == *id) {
            session.owner = Some(owner);
        }
        let oldest = oldest.filter(|_| count >= self.limits.per_caller.max(1))?;
        open.remove(oldest).map(|oldest| oldest.id)
    }

    fn forget(&self, id: &SessionId) {
        self.open().retain(|other| other.id != *id);
    }

    fn open(&self) -> MutexGuard<'_, VecDeque<OpenSession>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a session aside: one that hangs must not keep a new one waiting.
    fn end(&self, id: SessionId) {
        let sessions = Arc::clone(&self.inner);
        let shared = self.shared.clone();
        tokio::spawn(async move {
            if let Some(shared) = shared
                && shared.end(&id).await.is_err()
            {
                tracing::debug!("the end of a session is not shared: Redis is away");
            }
            if let Err(error) = sessions.close_session(&id).await {
                tracing::debug!(%error, "the oldest session did not end cleanly");
            }
        });
    }
}

/// Who sent this message, as the guard says.
fn owner(message: &ClientJsonRpcMessage) -> Option<Owner> {
    let ClientJsonRpcMessage::Request(request) = message else {
        return None;
    };
    let head = request.request.extensions().get::<http::request::Parts>()?;
    let caller = head.extensions.get::<Caller>()?;
    Some((
        caller.issuer.clone(),
        caller.subject.clone(),
        caller.client.clone(),
    ))
}

impl SessionManager for BoundedSessions {
    type Error = <LocalSessionManager as SessionManager>::Error;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let (id, transport) = self.inner.create_session().await?;
        if let Some(oldest) = self.admit(Arc::clone(&id)) {
            self.end(oldest);
        }
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        if let Some(oldest) = owner(&message).and_then(|owner| self.assign(id, owner)) {
            self.end(oldest);
        }
        self.inner.initialize_session(id, message).await
    }

    async fn restore_session(
        &self,
        id: SessionId,
    ) -> Result<RestoreOutcome<Self::Transport>, Self::Error> {
        let outcome = self.inner.restore_session(Arc::clone(&id)).await?;
        if matches!(outcome, RestoreOutcome::Restored(_))
            && let Some(oldest) = self.admit(id)
        {
            self.end(oldest);
        }
        Ok(outcome)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        self.inner.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.forget(id);
        self.inner.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.inner.create_stream(id, message).await
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), Self::Error> {
        self.inner.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.inner.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.inner.resume(id, last_event_id).await
    }
}
