//! How many new clients may appear.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_common::clock::Timestamp;

use super::metadata::MetadataDigest;

/// The time in which registrations are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// Most new clients within the window, from all sources together. Bounds the memory of the gate too.
const CEILING: usize = 600;
/// How many equal registrations may wait for each other without others waiting too.
const TURNS: usize = 64;

/// Too many clients were registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many clients were registered; the next may come in {} s", .retry_after.as_secs())]
pub(crate) struct TooManyRegistrations {
    /// After which time it is worth trying again.
    pub(crate) retry_after: Duration,
}

/// Counts new clients per source, and lets equal registrations pass one after the other.
#[derive(Debug)]
pub(crate) struct RegistrationGate {
    per_source: usize,
    /// When which source got a new client, the oldest first.
    admitted: Mutex<VecDeque<(Timestamp, IpAddr)>>,
    turns: Vec<tokio::sync::Mutex<()>>,
}

impl RegistrationGate {
    /// A gate that lets this many new clients of one source pass in a minute.
    pub(crate) fn new(per_source: u32) -> Self {
        Self {
            per_source: per_source as usize,
            admitted: Mutex::default(),
            turns: std::iter::repeat_with(tokio::sync::Mutex::default)
                .take(TURNS)
                .collect(),
        }
    }

    /// Counts a new client, or refuses it.
    pub(super) fn admit(&self, source: IpAddr, now: Timestamp) -> Result<(), TooManyRegistrations> {
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
        } else if admitted.len() >= CEILING {
            admitted.front().map(|(at, _)| *at)
        } else {
            None
        };
        if let Some(oldest) = oldest {
            let retry_after = WINDOW.saturating_sub(now.since(oldest));
            return Err(TooManyRegistrations { retry_after });
        }
        admitted.push_back((now, source));
        Ok(())
    }

    /// Takes back what was counted for a client that was not made.
    pub(super) fn take_back(&self, source: IpAddr) {
        let source = network(source);
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = admitted.iter().rposition(|(_, other)| *other == source) {
            admitted.remove(last);
        }
    }

    /// Waits for the turn of this metadata: of many equal registrations the first makes the client
    /// and is counted, the others find it.
    pub(super) async fn turn(
        &self,
        digest: MetadataDigest,
    ) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let hex = digest.to_hex();
        let number = usize::from_str_radix(hex.get(..2)?, 16).ok()? % TURNS;
        Some(self.turns.get(number)?.lock().await)
    }
}

/// Who has one IPv6 address has 2^64 of them.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
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
        let gate = RegistrationGate::new(3);
        for second in [0, 10, 20] {
            gate.admit(v4(1), at(second)).unwrap();
        }
        let refused = gate.admit(v4(1), at(25)).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(35));
        gate.admit(v4(2), at(25)).unwrap();
        gate.admit(v4(1), at(59)).unwrap_err();
        gate.admit(v4(1), at(60)).unwrap();
        gate.admit(v4(1), at(60)).unwrap_err();
        gate.take_back(v4(1));
        gate.admit(v4(1), at(60)).unwrap();
    }

    #[test]
    fn all_sources_together_have_a_ceiling_and_memory_a_bound() {
        let gate = RegistrationGate::new(20);
        let sources = (0..50_u8).map(v4);
        let admitted = sources
            .flat_map(|source| std::iter::repeat_n(source, 20))
            .filter(|source| gate.admit(*source, at(0)).is_ok())
            .count();
        assert_eq!(admitted, CEILING);
        assert_eq!(gate.admitted.lock().unwrap().len(), CEILING);
        gate.admit(v4(200), at(60)).unwrap();
        assert_eq!(gate.admitted.lock().unwrap().len(), 1);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_source() {
        let gate = RegistrationGate::new(1);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        gate.admit(address("2001:db8::1"), at(0)).unwrap();
        gate.admit(address("2001:db8::ffff:1"), at(0)).unwrap_err();
        gate.admit(address("2001:db8:0:1::1"), at(0)).unwrap();
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_pass() {
        assert!(RegistrationGate::new(0).admit(v4(1), at(0)).is_err());
    }
}
