//! Health: alive, ready, healthy. These answer for any `Host` and say only up or down; why stands
//! in the log, and part by part on the listener of the metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use portcullis_authz::state::AppState;
use portcullis_common::metrics::{Exposition, SharedMetrics};
use portcullis_resource::ResourceState;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// What is asked all the time by machines; nobody wants a trace of it.
pub(super) const PROBES: [&str; 3] = ["/livez", "/readyz", "/health"];

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

/// A part that may be unable to work while the process lives.
struct Part<'a> {
    name: &'static str,
    /// Empty where the part is no issuer's.
    issuer: &'a str,
    is_ready: bool,
}

impl Readiness {
    /// Whether requests should be sent here.
    async fn is_ready(&self) -> bool {
        if self.shutdown.is_cancelled() {
            return false;
        }
        let mut parts = self.parts().await.into_iter();
        match parts.find(|part| !part.is_ready) {
            None => true,
            Some(Part { name, issuer, .. }) => {
                tracing::warn!(part = name, issuer, "not ready");
                false
            }
        }
    }

    /// Every part: the keys of each issuer, and the store.
    async fn parts(&self) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        if let Some(resource) = &self.resource {
            parts.extend(resource.guard().keys().map(|keys| Part {
                name: "issuer_keys",
                issuer: keys.issuer().as_str(),
                is_ready: keys.is_ready(),
            }));
        }
        if let Some(authz) = &self.authz {
            let ready = authz.ready().await;
            if let Err(cause) = &ready {
                tracing::warn!(%cause, "the store is away");
            }
            parts.push(Part {
                name: "store",
                issuer: "",
                is_ready: ready.is_ok(),
            });
        }
        parts
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

/// `/metrics`, and `/health` part by part, for a listener that only operators reach.
pub(crate) fn metrics_router(metrics: SharedMetrics, readiness: Readiness) -> Router {
    let readiness = Arc::new(readiness);
    Router::new()
        .route("/metrics", get(write_metrics))
        .with_state((metrics, Arc::clone(&readiness)))
        .merge(
            Router::new()
                .route("/health", get(health_of_parts))
                .with_state(readiness),
        )
}

async fn write_metrics(
    State((metrics, readiness)): State<(SharedMetrics, Arc<Readiness>)>,
    headers: HeaderMap,
) -> Response {
    for part in readiness.parts().await {
        metrics.ready(part.name, part.issuer, part.is_ready);
    }
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let exposition = Exposition::for_reader(accept);
    let text = metrics.encode(exposition);
    ([(CONTENT_TYPE, exposition.content_type())], text).into_response()
}

async fn health_of_parts(State(readiness): State<Arc<Readiness>>) -> Response {
    let parts = readiness.parts().await;
    let is_stopping = readiness.shutdown.is_cancelled();
    let is_healthy = !is_stopping && parts.iter().all(|part| part.is_ready);
    let parts = parts.iter().map(|part| {
        let issuer = (!part.issuer.is_empty()).then_some(part.issuer);
        json!({ "part": part.name, "issuer": issuer, "ready": part.is_ready })
    });
    let body = json!({
        "status": if is_healthy { "healthy" } else { "unhealthy" },
        "stopping": is_stopping,
        "parts": parts.collect::<Vec<_>>(),
    });
    let status = match is_healthy {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    fn metrics_of(shutdown: CancellationToken) -> Router {
        let readiness = Readiness {
            authz: None,
            resource: None,
            shutdown,
        };
        metrics_router(SharedMetrics::default(), readiness)
    }

    async fn get(router: Router, path: &str, accept: &str) -> (StatusCode, String, String) {
        let request = Request::get(path).header(ACCEPT, accept);
        let request = request.body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let kind = response.headers()[CONTENT_TYPE].to_str().unwrap();
        let (status, kind) = (response.status(), kind.to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn metrics_come_in_the_form_that_the_reader_asks_for() {
        let router = metrics_of(CancellationToken::new());
        let asks = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3";
        let (_, kind, text) = get(router.clone(), "/metrics", asks).await;
        assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
        assert!(text.ends_with("# EOF\n"), "{text}");
        let (_, kind, text) = get(router, "/metrics", "*/*").await;
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        assert!(text.contains("portcullis_build_info{version="), "{text}");
    }

    #[tokio::test]
    async fn a_server_that_stops_is_unhealthy_on_the_listener_of_the_metrics_too() {
        let shutdown = CancellationToken::new();
        let router = metrics_of(shutdown.clone());
        let (status, _, _) = get(router.clone(), "/health", "*/*").await;
        assert_eq!(status, StatusCode::OK);
        shutdown.cancel();
        let (status, _, text) = get(router, "/health", "*/*").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("\"stopping\":true"), "{text}");
    }
}
