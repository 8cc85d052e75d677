//! Time, handed in.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// A point in time: whole seconds since the Unix epoch, never negative.
///
/// This is the only form in which time is stored, compared and put into tokens (`NumericDate`,
/// RFC 7519 §2, without a fraction).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Takes whole seconds since the Unix epoch; a negative value becomes the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(if seconds < 0 { 0 } else { seconds })
    }

    /// Whole seconds since the Unix epoch.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// This moment moved forward; saturates at the end of the range.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(seconds))
    }

    /// This moment moved back; saturates at the epoch.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(seconds).max(0))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

/// Where the current time comes from.
pub trait Clock: Send + Sync + Debug {
    /// The current time by the wall clock.
    fn now(&self) -> Timestamp;

    /// The same moment in nanoseconds since the Unix epoch, for measuring; as fine as the clock is.
    fn unix_nanos(&self) -> u64 {
        let seconds = u64::try_from(self.now().seconds()).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000)
    }

    /// The same moment in milliseconds, for records that people read.
    fn unix_millis(&self) -> i64 {
        i64::try_from(self.unix_nanos() / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// The clock as it is passed around.
pub type SharedClock = Arc<dyn Clock>;

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let seconds = since_epoch().as_secs();
        Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    fn unix_nanos(&self) -> u64 {
        u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn since_epoch() -> Duration {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the wall clock is read"
    )]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
}
