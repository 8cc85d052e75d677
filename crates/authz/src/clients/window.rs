//! How often something may happen in a minute, by source and in all.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_common::clock::Timestamp;
use portcullis_common::redis::{Exceeded, Rate, SharedRedis};

use crate::limiter::{Refused, answered, network};

/// The time in which things are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// Counts by source, for this process, and where there is a Redis for all replicas too. Both must
/// have room; while Redis is away, the count of this process is at hand.
#[derive(Debug)]
pub(super) struct SharedWindow {
    local: SourceWindow,
    redis: Option<SharedRedis>,
    /// What is counted, as it is called in Redis.
    name: &'static str,
}

impl SharedWindow {
    /// A window of one minute with these numbers.
    pub(super) fn new(
        name: &'static str,
        per_source: u32,
        ceiling: u32,
        redis: Option<SharedRedis>,
    ) -> Self {
        Self {
            local: SourceWindow::new(per_source as usize, ceiling as usize),
            redis,
            name,
        }
    }

    /// Counts one more, or says after which time it is worth trying again.
    pub(super) async fn admit(
        &self,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<(), Refused<Duration>> {
        self.local.admit(source, now).map_err(Refused::Limit)?;
        let Some(redis) = &self.redis else {
            return Ok(());
        };
        let answer = answered(redis, redis.admit(&self.rates(source), now).await);
        let refused = match answer {
            Ok(None | Some(Ok(()))) => return Ok(()),
            Ok(Some(Err(Exceeded(wait)))) => Refused::Limit(wait),
            Err(away) => Refused::Away(away),
        };
        self.local.take_back(source);
        Err(refused)
    }

    /// Takes back what was counted last for a source, because it did not happen.
    pub(super) async fn take_back(&self, source: IpAddr, now: Timestamp) {
        self.local.take_back(source);
        if let Some(redis) = &self.redis {
            // While Redis is away there is nothing to take back.
            let _away = redis.take_back(&self.rates(source), now).await;
        }
    }

    fn rates(&self, source: IpAddr) -> [Rate; 2] {
        let rate = |key, limit: usize| Rate {
            key,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            period: WINDOW,
        };
        let (name, source) = (self.name, network(source));
        [
            rate(format!("{name}:{source}"), self.local.per_source),
            rate(name.to_owned(), self.local.ceiling),
        ]
    }
}

/// Counts by source. The ceiling over all sources bounds its memory too.
#[derive(Debug)]
struct SourceWindow {
    per_source: usize,
    ceiling: usize,
    /// What happened when, and from where; the oldest first.
    admitted: Mutex<VecDeque<(Timestamp, IpAddr)>>,
}

impl SourceWindow {
    /// A window of one minute with these numbers.
    fn new(per_source: usize, ceiling: usize) -> Self {
        Self {
            per_source,
            ceiling,
            admitted: Mutex::default(),
        }
    }

    /// Counts one more, or says after which time it is worth trying again.
    fn admit(&self, source: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let source = network(source);
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        while admitted
            .front()
            .is_some_and(|(at, _)| now.since(*at) >= WINDOW)
        {
            admitted.pop_front();
        }
        let own = admitted.iter().filter(|(_, other)| *other == source);
        let oldest = if own.clone().count() >= self.per_source {
            own.map(|(at, _)| *at).next().or(Some(now))
        } else if admitted.len() >= self.ceiling {
            admitted.front().map(|(at, _)| *at)
        } else {
            None
        };
        if let Some(oldest) = oldest {
            return Err(WINDOW.saturating_sub(now.since(oldest)));
        }
        admitted.push_back((now, source));
        Ok(())
    }

    /// Takes back what was counted last for a source, because it did not happen.
    fn take_back(&self, source: IpAddr) {
        let source = network(source);
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = admitted.iter().rposition(|(_, other)| *other == source) {
            admitted.remove(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_source_gets_its_number_in_any_minute_and_others_are_not_harmed() {
        let window = SourceWindow::new(3, 600);
        for second in [0, 10, 20] {
            window.admit(v4(1), at(second)).unwrap();
        }
        let retry_after = window.admit(v4(1), at(25)).unwrap_err();
        assert_eq!(retry_after, Duration::from_secs(35));
        window.admit(v4(2), at(25)).unwrap();
        window.admit(v4(1), at(59)).unwrap_err();
        window.admit(v4(1), at(60)).unwrap();
        window.admit(v4(1), at(60)).unwrap_err();
        window.take_back(v4(1));
        window.admit(v4(1), at(60)).unwrap();
    }

    #[test]
    fn all_sources_together_have_a_ceiling_and_memory_a_bound() {
        let window = SourceWindow::new(20, 600);
        let sources = (0..50_u8).map(v4);
        let admitted = sources
            .flat_map(|source| std::iter::repeat_n(source, 20))
            .filter(|source| window.admit(*source, at(0)).is_ok())
            .count();
        assert_eq!(admitted, 600);
        assert_eq!(window.admitted.lock().unwrap().len(), 600);
        window.admit(v4(200), at(60)).unwrap();
        assert_eq!(window.admitted.lock().unwrap().len(), 1);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_source() {
        let window = SourceWindow::new(1, 600);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        window.admit(address("2001:db8::1"), at(0)).unwrap();
        window
            .admit(address("2001:db8::ffff:1"), at(0))
            .unwrap_err();
        window.admit(address("2001:db8:0:1::1"), at(0)).unwrap();
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_pass() {
        assert!(SourceWindow::new(0, 600).admit(v4(1), at(0)).is_err());
    }
}
