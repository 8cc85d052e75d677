//! What is limited for all replicas together, through a Redis that may be away.

use portcullis_common::config::WhenAway;
use portcullis_common::redis::{Away, SharedRedis};

/// The limiter is away, and the operator wants nobody let through who was not counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis is away, and [redis] when_away is refuse")]
pub(crate) struct LimiterAway;

/// Too often, or nobody knows how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused<L> {
    /// The limit is reached.
    Limit(L),
    /// See [`LimiterAway`].
    Away(LimiterAway),
}

impl<L> From<LimiterAway> for Refused<L> {
    fn from(away: LimiterAway) -> Self {
        Self::Away(away)
    }
}

/// What Redis answered; `None` if this process is to decide alone, as it does without Redis.
pub(crate) fn answered<T>(
    redis: &SharedRedis,
    answer: Result<T, Away>,
) -> Result<Option<T>, LimiterAway> {
    match (answer, redis.when_away()) {
        (Ok(answer), _) => Ok(Some(answer)),
        (Err(Away), WhenAway::Local) => Ok(None),
        (Err(Away), WhenAway::Refuse) => Err(LimiterAway),
    }
}
