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
