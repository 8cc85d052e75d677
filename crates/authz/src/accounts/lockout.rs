//! How often a password may be wrong.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_common::client_address::ClientAddress;
use portcullis_common::clock::Timestamp;
use portcullis_common::secret::SecretHash;
use quick_cache::sync::Cache;

/// Most pairs of account and source that are remembered.
const MAX_PAIRS: usize = 65_536;
/// A lock ends by itself after this long at the latest, unless the window is longer.
const LONGEST_LOCK: Duration = Duration::from_mins(15);
/// After this long without an attempt, a lock begins at its shortest again.
const FORGIVEN_AFTER: Duration = Duration::from_hours(1);

/// Counts attempts per account and source. The counting stands before the hashing, so that parallel
/// guesses are not cheaper than one after the other.
///
/// In memory only: another replica counts for itself, and a restart begins anew.
#[derive(Debug)]
pub(crate) struct LoginBudget {
    attempts: u32,
    window: Duration,
    pairs: Cache<Pair, Arc<Mutex<Tally>>>,
}

/// The name is hashed, because it is as long and as strange as an attacker likes, and because
/// people type passwords into the wrong field.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    name: SecretHash,
    source: IpAddr,
}

#[derive(Debug, Default)]
struct Tally {
    /// Attempts since `began_at`.
    count: u32,
    began_at: Option<Timestamp>,
    locked_until: Option<Timestamp>,
    /// Locks so far; each doubles the next one.
    locks: u32,
}

/// Too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Locked {
    /// How long to wait.
    pub(crate) retry_after: Duration,
}

impl Pair {
    /// The pair of a name as it was entered (normalised where it can be) and a source.
    pub(crate) fn new(name: &str, source: ClientAddress) -> Self {
        Self {
            name: SecretHash::of(name),
            source: network(source.0),
        }
    }
}

/// One household or machine has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let mask = u128::MAX << 64;
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl LoginBudget {
    /// Allows `attempts` per `window`; none means one.
    pub(crate) fn new(attempts: u32, window: Duration) -> Self {
        Self {
            attempts: attempts.max(1),
            window,
            pairs: Cache::new(MAX_PAIRS),
        }
    }

    /// Takes one attempt from the budget, or says how long there is none.
    pub(crate) fn take(&self, pair: &Pair, now: Timestamp) -> Result<(), Locked> {
        let tally = self
            .pairs
            .get_or_insert_with::<_, std::convert::Infallible>(pair, || Ok(Arc::default()))
            .unwrap_or_default();
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = tally.locked_until {
            if now < until {
                return Err(Locked {
                    retry_after: until.since(now),
                });
            }
            if now.since(until) >= FORGIVEN_AFTER {
                tally.locks = 0;
            }
            (tally.locked_until, tally.began_at) = (None, None);
        }
        if tally
            .began_at
            .is_none_or(|began| now.since(began) >= self.window)
        {
            (tally.began_at, tally.count) = (Some(now), 0);
        }
        tally.count += 1;
        if tally.count >= self.attempts {
            // This attempt still counts; the next one waits.
            tally.locked_until = Some(now.plus(self.lock(tally.locks)));
            tally.locks = tally.locks.saturating_add(1);
        }
        Ok(())
    }

    /// Gives an attempt back that came to nothing through no fault of the person.
    pub(crate) fn give_back(&self, pair: &Pair) {
        let Some(tally) = self.pairs.get(pair) else {
            return;
        };
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.count = tally.count.saturating_sub(1);
        if tally.locked_until.take().is_some() {
            tally.locks = tally.locks.saturating_sub(1);
        }
    }

    /// Forgets the attempts of whoever has just proved to be right.
    pub(crate) fn forgive(&self, pair: &Pair) {
        self.pairs.remove(pair);
    }

    /// The window, doubled with every lock before, within bounds.
    fn lock(&self, before: u32) -> Duration {
        let longest = LONGEST_LOCK.max(self.window);
        self.window
            .saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX))
            .min(longest)
            .max(Duration::from_secs(1))
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Pair({})", self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_mins(5);

    fn pair(name: &str, address: &str) -> Pair {
        Pair::new(name, ClientAddress(address.parse().unwrap()))
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000).plus(Duration::from_secs(seconds))
    }

    fn locked(seconds: u64) -> Result<(), Locked> {
        Err(Locked {
            retry_after: Duration::from_secs(seconds),
        })
    }

    #[test]
    fn the_sixth_attempt_waits_and_the_wait_doubles_up_to_a_quarter_of_an_hour() {
        let budget = LoginBudget::new(5, WINDOW);
        let alice = pair("alice", "203.0.113.1");
        let mut now = 0;
        for wait in [300, 600, 900, 900] {
            for _ in 0..5 {
                assert_eq!(budget.take(&alice, at(now)), Ok(()));
            }
            assert_eq!(budget.take(&alice, at(now)), locked(wait));
            assert_eq!(budget.take(&alice, at(now + wait - 1)), locked(1));
            now += wait;
        }
        now += 3600;
        for _ in 0..5 {
            assert_eq!(budget.take(&alice, at(now)), Ok(()));
        }
        assert_eq!(budget.take(&alice, at(now)), locked(300));
    }

    #[test]
    fn others_and_other_sources_are_not_locked_and_a_right_password_is_forgiven() {
        let budget = LoginBudget::new(1, WINDOW);
        let alice = pair("alice", "2001:db8::1");
        assert_eq!(budget.take(&alice, at(0)), Ok(()));
        assert_eq!(
            budget.take(&pair("alice", "2001:db8::ffff"), at(0)),
            locked(300)
        );
        assert_eq!(budget.take(&pair("alice", "203.0.113.2"), at(0)), Ok(()));
        assert_eq!(budget.take(&pair("bob", "2001:db8::1"), at(0)), Ok(()));
        budget.forgive(&alice);
        assert_eq!(budget.take(&alice, at(0)), Ok(()));
    }

    #[test]
    fn attempts_that_are_far_apart_do_not_add_up() {
        let budget = LoginBudget::new(2, WINDOW);
        let alice = pair("alice", "203.0.113.1");
        for turn in 0..10 {
            assert_eq!(budget.take(&alice, at(turn * 300)), Ok(()));
        }
    }

    #[test]
    fn an_attempt_that_came_to_nothing_is_given_back() {
        let budget = LoginBudget::new(2, WINDOW);
        let alice = pair("alice", "203.0.113.1");
        for _ in 0..10 {
            assert_eq!(budget.take(&alice, at(0)), Ok(()));
            budget.give_back(&alice);
        }
        for expected in [Ok(()), Ok(()), locked(300)] {
            assert_eq!(budget.take(&alice, at(0)), expected);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let budget = LoginBudget::new(5, WINDOW);
        for number in 0..2 * MAX_PAIRS {
            let _ = budget.take(&pair(&number.to_string(), "203.0.113.1"), at(0));
        }
        assert!(budget.pairs.len() <= MAX_PAIRS);
    }
}
