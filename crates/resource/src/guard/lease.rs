//! Streams that last no longer than the token they were opened with.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// The body of a stream that is open for as long as its reader likes: it ends, in order, when the
/// token ends (RFC 6750 §5.2: a token counts for its lifetime only). The reader comes back with a
/// fresh one, or gets its challenge.
pub(super) struct LeasedBody {
    body: Body,
    end: Pin<Box<Sleep>>,
}

impl LeasedBody {
    /// Lets the stream run for `left` at most.
    pub(super) fn new(body: Body, left: Duration) -> Self {
        // Whoever issues tokens for centuries gets streams of a year.
        let left = left.min(Duration::from_hours(366 * 24));
        let end = Box::pin(tokio::time::sleep_until(Instant::now() + left));
        Self { body, end }
    }
}

impl HttpBody for LeasedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_elapsed() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
