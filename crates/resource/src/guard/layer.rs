//! The guard as a tower layer.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, Entry};
use http::{HeaderMap, HeaderValue, Request, Response};
use portcullis_common::metrics::ErrorCode;
use tower::{Layer, Service};

use super::lease::LeasedBody;
use super::{Guard, Surface};

/// Puts a guard in front of a service.
#[derive(Clone, Debug)]
pub struct GuardLayer {
    guard: Guard,
    surface: Surface,
}

impl GuardLayer {
    pub(super) const fn new(guard: Guard, surface: Surface) -> Self {
        Self { guard, surface }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService {
            guard: self.guard.clone(),
            surface: self.surface,
            inner,
        }
    }
}

/// A service behind the guard.
#[derive(Clone, Debug)]
pub struct GuardService<S> {
    guard: Guard,
    surface: Surface,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for GuardService<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (guard, surface) = (self.guard.clone(), self.surface);
        // The service that was polled ready is the one that is called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let permitted = match guard.admit(request, surface).await {
                Ok(permitted) => permitted,
                Err(refusal) => {
                    guard.note_refusal(&refusal);
                    let error = ErrorCode(refusal.label());
                    let mut answer = refusal.into_response();
                    answer.extensions_mut().insert(error);
                    return Ok(answer);
                }
            };
            let mut answer = inner.call(permitted.request).await?;
            keep_private(answer.headers_mut(), surface);
            guard.note_answer(&permitted.token, answer.headers()).await;
            // An answer of known length is there already; only a stream can outlive the token.
            Ok(match permitted.lease {
                Some(left) if answer.body().size_hint().exact().is_none() => {
                    answer.map(|body| Body::new(LeasedBody::new(Body::new(body), left)))
                }
                None | Some(_) => answer.map(Body::new),
            })
        })
    }
}

/// What a token opened is for its holder alone. Calls over MCP are never cached; the plain view may
/// have said something of its own.
fn keep_private(headers: &mut HeaderMap, surface: Surface) {
    let no_store = HeaderValue::from_static("no-store");
    match (surface, headers.entry(CACHE_CONTROL)) {
        (Surface::Mcp, Entry::Occupied(mut said)) => {
            said.insert(no_store);
        }
        (_, Entry::Vacant(unsaid)) => {
            unsaid.insert(no_store);
        }
        (Surface::Rest(_), Entry::Occupied(_)) => {}
    }
}
