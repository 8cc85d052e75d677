//! Health: alive, ready, healthy. These answer for any `Host` and say only up or down; why stands
//! in the log.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use portcullis_authz::state::AppState;
use portcullis_common::metrics::{self, SharedMetrics};
use portcullis_resource::ResourceState;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// The parts of which this process must be able to say that they can do their work.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    /// The authorization server, where it runs here.
    pub authz: Option<AppState>,
    /// The resource server, where it runs here.
    pub resource: Option<ResourceState>,
    /// Cancelled when the server stops: it is no longer ready then.
    pub shutdown: CancellationToken,
}

impl Readiness {
    /// Whether requests should be sent here.
    pub(crate) async fn is_ready(&self) -> bool {
        if self.shutdown.is_cancelled() {
            return false;
        }
        if let Some(Err(cause)) = self.resource.as_ref().map(ResourceState::ready) {
            tracing::warn!(%cause, "not ready");
            return false;
        }
        match &self.authz {
            None => true,
            Some(authz) => match authz.ready().await {
                Ok(()) => true,
                Err(cause) => {
                    tracing::warn!(%cause, "not ready");
                    false
                }
            },
        }
    }
}

/// `/livez`, `/readyz`, `/health`.
pub(crate) fn router(readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || status(StatusCode::OK, "alive")))
        .route("/readyz", get(readyz))
        .route("/health", get(health))
        .with_state(Arc::new(readiness))
}

/// `/metrics`, for a listener of its own.
pub(crate) fn metrics_router(metrics: SharedMetrics) -> Router {
    let answer = move || {
        let text = metrics.encode();
        std::future::ready(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
    };
    Router::new().route("/metrics", get(answer))
}

async fn readyz(State(readiness): State<Arc<Readiness>>) -> Response {
    match readiness.is_ready().await {
        true => status(StatusCode::OK, "ready"),
        false => status(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    }
}

async fn health(State(readiness): State<Arc<Readiness>>) -> Response {
    match readiness.is_ready().await {
        true => status(StatusCode::OK, "healthy"),
        false => status(StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
    }
}

fn status(status: StatusCode, word: &str) -> Response {
    (
        status,
        [(CACHE_CONTROL, "no-store")],
        Json(json!({ "status": word })),
    )
        .into_response()
}
