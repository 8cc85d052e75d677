//! A request body that must arrive in time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeadlineError {
    /// It took too long.
    #[error("the request body did not arrive in time")]
    TooSlow,
    /// The connection broke.
    #[error("the request body broke off")]
    Broken(#[source] hyper::Error),
}

/// A body all of which must arrive within a time that begins with the first wait for it.
pub(super) struct DeadlineBody {
    inner: Incoming,
    limit: Duration,
    /// Set when the body is waited for: most bodies are there with the head and need no timer.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl DeadlineBody {
    pub(super) const fn new(inner: Incoming, limit: Duration) -> Self {
        Self {
            inner,
            limit,
            deadline: None,
        }
    }
}

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = DeadlineError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DeadlineError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(DeadlineError::Broken)));
        }
        let limit = self.limit;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Some(Err(DeadlineError::TooSlow)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
