//! What is limited by source, and for all replicas together through a Redis that may be away.

use std::net::{IpAddr, Ipv6Addr};

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

/// What is counted as one source: an address, or the /64 of IPv6 that one household or machine has
/// to itself.
pub(crate) fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => {
            let mask = u128::MAX << 64;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}
