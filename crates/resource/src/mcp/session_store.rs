//! The transport's view of what replicas share of sessions.

use async_trait::async_trait;
use rmcp::transport::streamable_http_server::session::store::{
    SessionState, SessionStore, SessionStoreError,
};

use crate::guard::SharedSessions;

/// Largest state that is shared, in bytes: what a client said of itself when it began.
const MAX_STATE: usize = 64 * 1024;

/// Lets a replica go on with a session that another one began. While Redis is away, a replica knows
/// its own sessions only; the client of another one gets 404 and begins anew
/// (MCP 2025-11-25, session management).
#[async_trait]
impl SessionStore for SharedSessions {
    async fn load(&self, session_id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        let Ok(Some(state)) = self.state(session_id).await else {
            return Ok(None);
        };
        Ok(serde_json::from_slice(&state).ok())
    }

    async fn store(&self, session_id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        let state = serde_json::to_vec(state)?;
        if state.len() <= MAX_STATE && self.keep_state(session_id, &state).await.is_err() {
            tracing::debug!("a session is not shared: Redis is away");
        }
        Ok(())
    }

    async fn delete(&self, session_id: &str) -> Result<(), SessionStoreError> {
        if self.end(session_id).await.is_err() {
            tracing::debug!("the end of a session is not shared: Redis is away");
        }
        Ok(())
    }
}
