//! What this process asks of itself.

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use portcullis_common::fetch::{FetchError, FetchRequest, Fetcher, SharedFetcher};
use tower::ServiceExt as _;

/// Answers what is asked of our own listener inside the process, and leaves the rest to others. So
/// the resource server reads the keys of its own issuer whatever certificate, port or front stands
/// before it, and also before anything is accepted.
#[derive(Debug)]
pub(crate) struct OwnListener {
    /// Scheme, host and port, without a trailing slash.
    pub(crate) base: String,
    pub(crate) routes: Router,
    pub(crate) others: SharedFetcher,
}

#[async_trait]
impl Fetcher for OwnListener {
    async fn fetch(&self, request: FetchRequest<'_>) -> Result<Vec<u8>, FetchError> {
        let path = request.url.strip_prefix(&self.base);
        let Some(path) = path.filter(|path| path.starts_with('/')) else {
            return self.others.fetch(request).await;
        };
        let url = request.url.to_owned();
        let unreachable = |cause: String| FetchError::Unreachable {
            url: url.clone(),
            cause,
        };
        let asked = Request::get(path)
            .body(Body::empty())
            .map_err(|error| unreachable(error.to_string()))?;
        let Ok(answer) = self.routes.clone().oneshot(asked).await;
        if answer.status() != StatusCode::OK {
            let status = answer.status().as_u16();
            return Err(FetchError::Status { url, status });
        }
        let body = Limited::new(answer.into_body(), request.limit).collect();
        let body = body.await.map_err(|_| FetchError::TooLarge {
            url: url.clone(),
            limit: request.limit,
        })?;
        Ok(body.to_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::routing::get;

    use super::*;

    /// Nothing else answers.
    #[derive(Debug)]
    struct Nobody;

    #[async_trait]
    impl Fetcher for Nobody {
        async fn fetch(&self, request: FetchRequest<'_>) -> Result<Vec<u8>, FetchError> {
            let cause = "nobody is asked in this test".to_owned();
            let url = request.url.to_owned();
            Err(FetchError::Unreachable { url, cause })
        }
    }

    #[tokio::test]
    async fn only_what_is_asked_of_our_own_origin_is_answered_inside() {
        let own = OwnListener {
            base: "https://127.0.0.1".to_owned(),
            routes: Router::new().route("/jwks", get(async || "keys")),
            others: Arc::new(Nobody),
        };
        let fetch = |url: &'static str, limit| {
            own.fetch(FetchRequest {
                url,
                timeout: Duration::from_secs(1),
                limit,
            })
        };
        assert_eq!(fetch("https://127.0.0.1/jwks", 4).await.unwrap(), b"keys");
        let large = fetch("https://127.0.0.1/jwks", 3).await;
        assert!(
            matches!(large, Err(FetchError::TooLarge { .. })),
            "{large:?}"
        );
        let missing = fetch("https://127.0.0.1/else", 4).await;
        assert!(
            matches!(missing, Err(FetchError::Status { status: 404, .. })),
            "{missing:?}"
        );
        for other in [
            "https://127.0.0.1:9443/jwks",
            "http://127.0.0.1/jwks",
            "https://127.0.0.1.example/jwks",
        ] {
            let answer = fetch(other, 4).await;
            assert!(
                matches!(answer, Err(FetchError::Unreachable { .. })),
                "{other}"
            );
        }
    }
}
