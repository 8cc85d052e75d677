//! A clock that stands still until the test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use portcullis_common::clock::{Clock, Timestamp};

/// Where every manual clock begins: 2027-01-15T08:00:00Z.
pub const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Waits for something whose speed is what is tested; fails if it takes longer than `limit` of real
/// time.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, work)
        .await
        .expect("it takes no longer than the limit")
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows [`START`].
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START.seconds())))
    }

    /// Moves the clock forward by whole seconds.
    pub fn advance(&self, duration: Duration) {
        let seconds = i64::try_from(duration.as_secs()).unwrap();
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}
