//! The order of a stop: first the calls under way get their answers, then event streams end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use http::{HeaderName, Method, Request, Response};
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::{Layer, Service};

const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// The calls that wait for their answer, and the streams that wait for the calls. Cloning shares
/// everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallsUnderWay(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    calls: TaskTracker,
    streams: CancellationToken,
}

impl CallsUnderWay {
    /// Cancelled when sessions and event streams must end. The transport gives up its calls with
    /// them, so this comes after the last answer.
    pub(crate) fn streams(&self) -> &CancellationToken {
        &self.0.streams
    }

    pub(crate) async fn drain(&self) {
        self.0.calls.close();
        self.0.calls.wait().await;
        self.0.streams.cancel();
    }

    /// A call, if this request is one: streams that are open for as long as their reader likes are
    /// none (MCP 2025-11-25: GET; MCP 2026-07-28: `subscriptions/listen`).
    fn begin<B>(&self, request: &Request<B>) -> Option<TaskTrackerToken> {
        let method = request.headers().get(&METHOD);
        let listens = method.is_some_and(|method| method == "subscriptions/listen");
        (request.method() == Method::POST && !listens).then(|| self.0.calls.token())
    }
}

impl<S> Layer<S> for CallsUnderWay {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        let calls = self.clone();
        Counted { calls, inner }
    }
}

/// Counts a request to the MCP endpoint as a call until its answer has left.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    calls: CallsUnderWay,
    inner: S,
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = CallUnderWay<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        CallUnderWay {
            call: self.calls.begin(&request),
            answer: self.inner.call(request),
        }
    }
}

/// The wait for the head of an answer.
pub(crate) struct CallUnderWay<F> {
    call: Option<TaskTrackerToken>,
    answer: F,
}

impl<F, E> Future for CallUnderWay<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(context))?;
        let call = self.call.take();
        // An answer of known length is complete: the connection sees it off.
        if call.is_none() || answer.body().size_hint().exact().is_some() {
            return Poll::Ready(Ok(answer));
        }
        // One that comes as a stream holds its call for as long as it lasts.
        Poll::Ready(Ok(answer.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _lasts = &call;
                frame
            }))
        })))
    }
}
