//! The endpoint as it stands in a route.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty};
use rmcp::ServerHandler;
use tower::Service;

use super::McpEndpoint;
use super::server::McpServer;

/// One endpoint for all requests.
///
/// A router clones its services for each request, once for every layer above them. The transport
/// holds lists of texts, which would be copied each time; this is a count.
pub struct SharedEndpoint<S = McpServer>(Arc<McpEndpoint<S>>);

impl<S> SharedEndpoint<S> {
    /// Shares this endpoint.
    pub fn new(endpoint: McpEndpoint<S>) -> Self {
        Self(Arc::new(endpoint))
    }
}

impl<S> Clone for SharedEndpoint<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, B> Service<Request<B>> for SharedEndpoint<S>
where
    S: ServerHandler,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Display,
{
    type Response = Response<BoxBody<Bytes, Infallible>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = Arc::clone(&self.0);
        Box::pin(async move {
            let ends_session = request.method() == Method::DELETE;
            let mut answer = endpoint.handle(request).await;
            // The session is gone when the transport answers, and clients (the Python SDK) take 202
            // for a failure.
            if ends_session && answer.status() == StatusCode::ACCEPTED {
                *answer.status_mut() = StatusCode::NO_CONTENT;
                *answer.body_mut() = Empty::new().boxed();
            }
            Ok(answer)
        })
    }
}
