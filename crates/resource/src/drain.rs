//! The order of a stop: first the calls under way get their answers, then event streams end.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::Method;
use http_body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The calls that wait for their answer, and the streams that wait for the calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallsUnderWay {
    calls: TaskTracker,
    streams: CancellationToken,
}

impl CallsUnderWay {
    /// Cancelled when sessions and event streams must end. The transport gives up its calls with
    /// them, so this comes after the last answer.
    pub(crate) fn streams(&self) -> &CancellationToken {
        &self.streams
    }

    pub(crate) async fn drain(&self) {
        self.calls.close();
        self.calls.wait().await;
        self.streams.cancel();
    }

    /// A call, if this request is one: streams that are open for as long as their reader likes are
    /// none (MCP 2025-11-25: GET; MCP 2026-07-28: `subscriptions/listen`).
    fn begin(&self, request: &Request) -> Option<TaskTrackerToken> {
        let method = request.headers().get("mcp-method");
        let listens = method.is_some_and(|method| method == "subscriptions/listen");
        (request.method() == Method::POST && !listens).then(|| self.calls.token())
    }
}

/// Counts a request to the MCP endpoint as a call until its answer has left.
pub(crate) async fn count(
    State(calls): State<CallsUnderWay>,
    request: Request,
    next: Next,
) -> Response {
    let call = calls.begin(&request);
    let answer = next.run(request).await;
    // An answer of known length is complete: the connection sees it off.
    if call.is_none() || answer.body().size_hint().exact().is_some() {
        return answer;
    }
    answer.map(|body| Body::new(AnswerUnderWay { body, _call: call }))
}

/// An answer that comes as a stream, and the call that lasts as long as it does.
struct AnswerUnderWay {
    body: Body,
    _call: Option<TaskTrackerToken>,
}

impl HttpBody for AnswerUnderWay {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
