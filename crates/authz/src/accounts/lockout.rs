//! How often a password may be wrong, or the secret of a client that a person chose.

mod shared;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_common::client_address::ClientAddress;
use portcullis_common::clock::{Clock, Timestamp};
use portcullis_common::secret::SecretHash;
use quick_cache::sync::Cache;
use tokio::sync::Notify;

use crate::limiter::network;
pub(crate) use shared::LoginLimit;

/// Most pairs of account and source that are remembered.
const MAX_PAIRS: usize = 65_536;
/// A lock ends by itself after this long at the latest, unless the window is longer.
const LONGEST_LOCK: Duration = Duration::from_mins(15);
/// After this long without an attempt, a lock begins at its shortest again.
const FORGIVEN_AFTER: Duration = Duration::from_hours(1);

/// Counts wrong attempts per account (or client) and source. A turn is taken before the hashing of a
/// password, so that parallel guesses are not cheaper than one after the other.
///
/// In memory only: another replica counts for itself, and a restart begins anew.
/// [`LoginLimit`] adds what replicas share.
#[derive(Debug)]
struct LoginBudget {
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
    /// Wrong attempts since `began_at`.
    wrong: u32,
    /// Attempts whose end is not known yet; each may turn out to be wrong.
    under_way: u32,
    began_at: Option<Timestamp>,
    locked_until: Option<Timestamp>,
    /// Locks so far; each doubles the next one.
    locks: u32,
    /// Woken when an attempt ends.
    ended: Arc<Notify>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The password was right: what was wrong before is forgiven.
    Right,
    /// It was wrong.
    Wrong,
    /// Nobody knows, through no fault of the person.
    Unknown,
}

/// One attempt that was let through. Dropped without an outcome it counts as wrong, so that going
/// away while the password is hashed is no way to guess for nothing.
#[derive(Debug)]
#[must_use]
struct Turn {
    tally: Arc<Mutex<Tally>>,
    window: Duration,
    attempts: u32,
    began: Timestamp,
    is_settled: bool,
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

impl LoginBudget {
    /// Allows `attempts` per `window`; none means one.
    fn new(attempts: u32, window: Duration) -> Self {
        Self {
            attempts: attempts.max(1),
            window,
            pairs: Cache::new(MAX_PAIRS),
        }
    }

    /// Makes an attempt that takes no time, so that nobody waits for a turn; `is_right` says how it
    /// ends. Programs do not mistype: what is right forgives nothing that was wrong, or whoever shares
    /// the source of a busy program could guess for ever.
    fn attempt(
        &self,
        pair: &Pair,
        now: Timestamp,
        is_right: impl FnOnce() -> bool,
    ) -> Result<bool, Locked> {
        let tally = self.tally(pair);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.check(now, self.window)?;
        let is_right = is_right();
        if !is_right {
            tally.count_wrong(self.attempts, self.window, now);
        }
        Ok(is_right)
    }

    /// Whether an attempt of this pair was wrong in the window that runs.
    fn remembers(&self, pair: &Pair, now: Timestamp) -> bool {
        let tally = self.tally(pair);
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        let is_running = |began| now.since(began) < self.window;
        tally.wrong > 0 && tally.began_at.is_some_and(is_running)
    }

    /// Takes over a lock that others made.
    fn learn(&self, pair: &Pair, now: Timestamp, lock: Duration) {
        if lock.is_zero() {
            return;
        }
        let tally = self.tally(pair);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.locked_until = tally.locked_until.max(Some(now.plus(lock)));
    }

    /// Forgives what was wrong here, because it was right elsewhere since.
    fn forgive(&self, pair: &Pair) {
        let tally = self.tally(pair);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        (tally.wrong, tally.locks, tally.locked_until) = (0, 0, None);
    }

    fn tally(&self, pair: &Pair) -> Arc<Mutex<Tally>> {
        self.pairs
            .get_or_insert_with::<_, std::convert::Infallible>(pair, || Ok(Arc::default()))
            .unwrap_or_default()
    }

    /// Waits for a turn, or says how long there is none.
    ///
    /// No more attempts are under way at once than may still turn out to be wrong, so that guesses
    /// in parallel do not overrun the budget; right passwords in parallel only wait for each other.
    async fn take(&self, pair: &Pair, clock: &dyn Clock) -> Result<Turn, Locked> {
        let tally = self.tally(pair);
        loop {
            let ended = {
                let mut locked = tally.lock().unwrap_or_else(PoisonError::into_inner);
                let now = clock.now();
                locked.check(now, self.window)?;
                if locked.wrong + locked.under_way < self.attempts {
                    locked.under_way += 1;
                    return Ok(Turn {
                        tally: Arc::clone(&tally),
                        window: self.window,
                        attempts: self.attempts,
                        began: now,
                        is_settled: false,
                    });
                }
                // Made under the lock: an end between here and the wait is not missed.
                Arc::clone(&locked.ended).notified_owned()
            };
            ended.await;
        }
    }
}

impl Turn {
    /// Ends the attempt.
    fn settle(mut self, outcome: Outcome) {
        self.is_settled = true;
        self.end(outcome);
    }

    fn end(&self, outcome: Outcome) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.under_way = tally.under_way.saturating_sub(1);
        match outcome {
            Outcome::Right => (tally.wrong, tally.locks, tally.locked_until) = (0, 0, None),
            Outcome::Wrong => tally.count_wrong(self.attempts, self.window, self.began),
            Outcome::Unknown => {}
        }
        tally.ended.notify_waiters();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_settled {
            self.end(Outcome::Wrong);
        }
    }
}

impl Tally {
    /// Whether attempts may be made now; begins a new window where the old one is over.
    fn check(&mut self, now: Timestamp, window: Duration) -> Result<(), Locked> {
        if let Some(until) = self.locked_until {
            if now < until {
                return Err(Locked {
                    retry_after: until.since(now),
                });
            }
            if now.since(until) >= FORGIVEN_AFTER {
                self.locks = 0;
            }
            (self.locked_until, self.began_at) = (None, None);
        }
        if self.began_at.is_none_or(|began| now.since(began) >= window) {
            (self.began_at, self.wrong) = (Some(now), 0);
        }
        Ok(())
    }

    /// Counts a wrong attempt that began at `now`, and locks after the last that is allowed.
    fn count_wrong(&mut self, attempts: u32, window: Duration, now: Timestamp) {
        self.wrong += 1;
        if self.wrong >= attempts {
            self.locked_until = Some(now.plus(lock(window, self.locks)));
            self.locks = self.locks.saturating_add(1);
        }
    }
}

/// The window, doubled with every lock before, within bounds.
fn lock(window: Duration, before: u32) -> Duration {
    let longest = LONGEST_LOCK.max(window);
    window
        .saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX))
        .min(longest)
        .max(Duration::from_secs(1))
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Pair({})", self.source)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    const WINDOW: Duration = Duration::from_mins(5);

    #[derive(Debug)]
    struct At(AtomicI64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_800_000_000 + self.0.load(Ordering::SeqCst))
        }
    }

    fn at(seconds: i64) -> At {
        At(AtomicI64::new(seconds))
    }

    fn pair(name: &str, address: &str) -> Pair {
        Pair::new(name, ClientAddress(address.parse().unwrap()))
    }

    /// An attempt that ends like this; gives the seconds to wait where it is not let through.
    async fn attempt(budget: &LoginBudget, pair: &Pair, now: i64, outcome: Outcome) -> u64 {
        match budget.take(pair, &at(now)).await {
            Ok(turn) => {
                turn.settle(outcome);
                0
            }
            Err(locked) => locked.retry_after.as_secs(),
        }
    }

    #[tokio::test]
    async fn the_sixth_attempt_waits_and_the_wait_doubles_up_to_a_quarter_of_an_hour() {
        let budget = LoginBudget::new(5, WINDOW);
        let alice = pair("alice", "203.0.113.1");
        let mut now = 0;
        for wait in [300, 600, 900, 900] {
            for _ in 0..5 {
                assert_eq!(attempt(&budget, &alice, now, Outcome::Wrong).await, 0);
            }
            let seconds = u64::try_from(wait).unwrap();
            assert_eq!(attempt(&budget, &alice, now, Outcome::Right).await, seconds);
            assert_eq!(
                attempt(&budget, &alice, now + wait - 1, Outcome::Right).await,
                1
            );
            now += wait;
        }
        now += 3600;
        for _ in 0..5 {
            assert_eq!(attempt(&budget, &alice, now, Outcome::Wrong).await, 0);
        }
        assert_eq!(attempt(&budget, &alice, now, Outcome::Wrong).await, 300);
    }

    #[tokio::test]
    async fn others_and_other_sources_are_not_locked_and_a_right_password_is_forgiven() {
        let budget = LoginBudget::new(2, WINDOW);
        let alice = pair("alice", "2001:db8::1");
        for outcome in [
            Outcome::Wrong,
            Outcome::Right,
            Outcome::Wrong,
            Outcome::Wrong,
        ] {
            assert_eq!(attempt(&budget, &alice, 0, outcome).await, 0);
        }
        let neighbour = pair("alice", "2001:db8::ffff");
        assert_eq!(attempt(&budget, &neighbour, 0, Outcome::Right).await, 300);
        for other in [pair("alice", "203.0.113.2"), pair("bob", "2001:db8::1")] {
            assert_eq!(attempt(&budget, &other, 0, Outcome::Right).await, 0);
        }
    }

    #[tokio::test]
    async fn attempts_that_are_far_apart_do_not_add_up() {
        let budget = LoginBudget::new(2, WINDOW);
        let alice = pair("alice", "203.0.113.1");
        for turn in 0..10 {
            assert_eq!(
                attempt(&budget, &alice, turn * 300, Outcome::Wrong).await,
                0
            );
        }
    }

    #[tokio::test]
    async fn an_attempt_that_came_to_nothing_does_not_count_and_one_that_went_away_does() {
        let budget = LoginBudget::new(2, WINDOW);
        let alice = pair("alice", "203.0.113.1");
        for _ in 0..10 {
            assert_eq!(attempt(&budget, &alice, 0, Outcome::Unknown).await, 0);
        }
        for _ in 0..2 {
            drop(budget.take(&alice, &at(0)).await.unwrap());
        }
        assert_eq!(attempt(&budget, &alice, 0, Outcome::Right).await, 300);
    }

    #[tokio::test]
    async fn right_passwords_in_parallel_wait_for_each_other_and_guesses_do_not_overrun() {
        for (outcome, let_through) in [(Outcome::Right, 50), (Outcome::Wrong, 5)] {
            let budget = Arc::new(LoginBudget::new(5, WINDOW));
            let attempts: Vec<_> = (0..50)
                .map(|_| {
                    let budget = Arc::clone(&budget);
                    tokio::spawn(async move {
                        let turn = budget.take(&pair("alice", "203.0.113.1"), &at(0)).await;
                        tokio::task::yield_now().await;
                        turn.map(|turn| turn.settle(outcome)).is_ok()
                    })
                })
                .collect();
            let mut passed = 0;
            for attempt in attempts {
                passed += u32::from(attempt.await.unwrap());
            }
            assert_eq!(passed, let_through, "{outcome:?}");
        }
    }

    #[test]
    fn attempts_that_take_no_time_lock_a_pair_and_what_is_right_forgives_nothing() {
        let budget = LoginBudget::new(2, WINDOW);
        let agent = pair("agent", "203.0.113.1");
        let attempt = |seconds, is_right| {
            let attempt = budget.attempt(&agent, at(seconds).now(), || is_right);
            attempt.map_err(|locked| locked.retry_after.as_secs())
        };
        for _ in 0..100 {
            assert_eq!(attempt(0, true), Ok(true));
        }
        assert_eq!(attempt(0, false), Ok(false));
        assert_eq!(attempt(0, true), Ok(true));
        assert_eq!(attempt(1, false), Ok(false));
        assert_eq!(attempt(1, true), Err(300));
        assert_eq!(attempt(300, true), Err(1));
        assert_eq!(attempt(301, true), Ok(true));
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let budget = LoginBudget::new(5, WINDOW);
        for number in 0..2 * MAX_PAIRS {
            let pair = pair(&number.to_string(), "203.0.113.1");
            attempt(&budget, &pair, 0, Outcome::Wrong).await;
        }
        assert!(budget.pairs.len() <= MAX_PAIRS);
    }
}
