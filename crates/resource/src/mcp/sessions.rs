//! Sessions of the protocol revisions before 2026-07-28, bounded in number and idle time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_core::Stream;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::SessionManager;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId};

/// Sessions in memory, at most so many.
///
/// When there are too many, the oldest ends to make room: its client gets 404 and starts a new one
/// (MCP 2025-11-25, session management). A session id is never authentication: the guard binds it
/// to the subject and client that opened it.
#[derive(Debug)]
pub struct BoundedSessions {
    inner: Arc<LocalSessionManager>,
    /// Open sessions, oldest first.
    open: Mutex<VecDeque<SessionId>>,
    limit: usize,
}

impl BoundedSessions {
    /// At most `limit` sessions, each of which ends after so long without a message.
    pub fn new(limit: usize, idle: Duration) -> Self {
        let mut inner = LocalSessionManager::default();
        inner.session_config.keep_alive = Some(idle);
        inner.session_config.init_timeout = Some(Duration::from_secs(10));
        Self {
            inner: Arc::new(inner),
            open: Mutex::default(),
            limit: limit.max(1),
        }
    }

    /// Notes a new session, and answers the one that must go for it.
    fn admit(&self, id: SessionId) -> Option<SessionId> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back(id);
        if open.len() > self.limit {
            open.pop_front()
        } else {
            None
        }
    }

    fn forget(&self, id: &SessionId) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|other| other != id);
    }
}

impl SessionManager for BoundedSessions {
    type Error = <LocalSessionManager as SessionManager>::Error;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let (id, transport) = self.inner.create_session().await?;
        if let Some(oldest) = self.admit(Arc::clone(&id)) {
            let sessions = Arc::clone(&self.inner);
            // Aside, because a session that hangs must not keep the new one waiting.
            tokio::spawn(async move {
                if let Err(error) = sessions.close_session(&oldest).await {
                    tracing::debug!(%error, "the oldest session did not end cleanly");
                }
            });
        }
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.inner.initialize_session(id, message).await
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
