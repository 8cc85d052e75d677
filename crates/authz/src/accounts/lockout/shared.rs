//! Wrong attempts, counted for all replicas.

use std::sync::LazyLock;
use std::time::Duration;

use portcullis_common::clock::{SharedClock, Timestamp};
use portcullis_common::redis::{Away, Script, SharedRedis};
use portcullis_common::secret::SecretHash;

use super::{FORGIVEN_AFTER, LONGEST_LOCK, Locked, LoginBudget, Outcome, Pair, Turn};
use crate::limiter::{Refused, answered};

/// How long an attempt waits for others that are under way on all replicas.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often it looks whether one of them has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A turn that a process took and never ended, because it ended itself, ends after this long.
const TURN_LIFE: Duration = Duration::from_secs(30);

static TALLY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("tally.lua")));

/// What is done to a tally in Redis; the numbers are those of the script.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Take = 0,
    Right = 1,
    Wrong = 2,
    Unknown = 3,
    Count = 4,
    Look = 5,
}

/// What a tally in Redis answers.
#[derive(Clone, Copy, Debug)]
enum Said {
    Locked(Duration),
    /// Every turn is taken.
    Busy,
    Open {
        turn: i64,
        wrong: i64,
        /// How long it is locked from now on.
        locked: Duration,
    },
}

/// Counts wrong attempts per account (or client) and source: in this process, and where there is a
/// Redis in there by the same rules, so that guesses spread over replicas are not cheaper than on
/// one. While Redis is away, what this process counted is at hand.
#[derive(Debug)]
pub(crate) struct LoginLimit {
    local: LoginBudget,
    shared: Option<SharedTally>,
}

#[derive(Clone, Debug)]
struct SharedTally {
    redis: SharedRedis,
    /// What is counted, as it is called in Redis.
    name: &'static str,
    attempts: u32,
    window: Duration,
}

/// An attempt that was let through; see [`Turn`]. Dropped without an outcome it counts as wrong.
#[derive(Debug)]
#[must_use]
pub(crate) struct SharedTurn {
    local: Option<Turn>,
    shared: Option<TurnInRedis>,
}

#[derive(Clone, Debug)]
struct TurnInRedis {
    tally: SharedTally,
    pair: Pair,
    number: i64,
    clock: SharedClock,
    began: Timestamp,
}

impl LoginLimit {
    /// Allows `attempts` per `window`; none means one.
    pub(crate) fn new(
        name: &'static str,
        attempts: u32,
        window: Duration,
        redis: Option<SharedRedis>,
    ) -> Self {
        Self {
            local: LoginBudget::new(attempts, window),
            shared: redis.map(|redis| SharedTally {
                redis,
                name,
                attempts: attempts.max(1),
                window,
            }),
        }
    }

    /// Makes an attempt that takes no time; see [`LoginBudget::attempt`].
    ///
    /// Redis is asked about wrong attempts, and about right ones of a pair that this process saw
    /// wrong lately. So who never errs waits for nothing, and who guesses finds each replica closed
    /// after one wrong guess there, once the budget of all is spent.
    pub(crate) async fn attempt(
        &self,
        pair: &Pair,
        now: Timestamp,
        is_right: bool,
    ) -> Result<bool, Refused<Locked>> {
        let attempted = self.local.attempt(pair, now, || is_right);
        attempted.map_err(Refused::Limit)?;
        let Some(shared) = &self.shared else {
            return Ok(is_right);
        };
        let verb = match is_right {
            true if !self.local.remembers(pair, now) => return Ok(true),
            true => Verb::Look,
            false => Verb::Count,
        };
        match answered(&shared.redis, shared.ask(verb, pair, now).await)? {
            None | Some(Said::Busy) => Ok(is_right),
            Some(Said::Locked(retry_after)) => {
                self.local.learn(pair, now, retry_after);
                Err(Refused::Limit(Locked { retry_after }))
            }
            Some(Said::Open { locked, .. }) => {
                self.local.learn(pair, now, locked);
                Ok(is_right)
            }
        }
    }

    /// Waits for a turn, here and among all replicas, or says how long there is none.
    pub(crate) async fn take(
        &self,
        pair: &Pair,
        clock: &SharedClock,
    ) -> Result<SharedTurn, Refused<Locked>> {
        let local = self.local.take(pair, clock.as_ref()).await;
        let local = local.map_err(Refused::Limit)?;
        let taken = match &self.shared {
            None => Ok(None),
            Some(shared) => shared.take(pair, clock).await,
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(refused) => {
                local.settle(Outcome::Unknown);
                if let Refused::Limit(locked) = refused {
                    self.local.learn(pair, clock.now(), locked.retry_after);
                }
                return Err(refused);
            }
        };
        if taken.as_ref().is_some_and(|(_, wrong)| *wrong == 0) {
            self.local.forgive(pair);
        }
        Ok(SharedTurn {
            local: Some(local),
            shared: taken.map(|(turn, _)| turn),
        })
    }
}

impl SharedTurn {
    /// Ends the attempt.
    pub(crate) async fn settle(mut self, outcome: Outcome) {
        if let Some(ended) = self.end(outcome) {
            // A task of its own ends it, so that going away now changes nothing.
            let _ended = ended.await;
        }
    }

    fn end(&mut self, outcome: Outcome) -> Option<tokio::task::JoinHandle<()>> {
        if let Some(local) = self.local.take() {
            local.settle(outcome);
        }
        let shared = self.shared.take()?;
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        Some(runtime.spawn(async move { shared.end(outcome).await }))
    }
}

impl Drop for SharedTurn {
    fn drop(&mut self) {
        let _ending = self.end(Outcome::Wrong);
    }
}

impl TurnInRedis {
    async fn end(&self, outcome: Outcome) {
        let verb = match outcome {
            Outcome::Right => Verb::Right,
            Outcome::Wrong => Verb::Wrong,
            Outcome::Unknown => Verb::Unknown,
        };
        let (turn, now) = ((self.number, self.began), self.clock.now());
        // This process counted it too, and a turn ends by itself.
        let _away = self.tally.send(verb, &self.pair, now, turn).await;
    }
}

impl SharedTally {
    /// A turn and the number of wrong attempts so far; `None` if this process is to decide alone.
    async fn take(
        &self,
        pair: &Pair,
        clock: &SharedClock,
    ) -> Result<Option<(TurnInRedis, i64)>, Refused<Locked>> {
        let waits = async {
            loop {
                let began = clock.now();
                match answered(&self.redis, self.ask(Verb::Take, pair, began).await)? {
                    None => return Ok(None),
                    Some(Said::Locked(retry_after)) => {
                        return Err(Refused::Limit(Locked { retry_after }));
                    }
                    Some(Said::Busy) => tokio::time::sleep(LOOK_AGAIN).await,
                    Some(Said::Open { turn, wrong, .. }) => {
                        let turn = TurnInRedis {
                            tally: self.clone(),
                            pair: pair.clone(),
                            number: turn,
                            clock: SharedClock::clone(clock),
                            began,
                        };
                        return Ok(Some((turn, wrong)));
                    }
                }
            }
        };
        let in_vain = Locked {
            retry_after: Duration::from_secs(1),
        };
        tokio::time::timeout(LONGEST_WAIT, waits)
            .await
            .unwrap_or(Err(Refused::Limit(in_vain)))
    }

    async fn ask(&self, verb: Verb, pair: &Pair, now: Timestamp) -> Result<Said, Away> {
        self.send(verb, pair, now, (0, now)).await
    }

    async fn send(
        &self,
        verb: Verb,
        pair: &Pair,
        now: Timestamp,
        (turn, began): (i64, Timestamp),
    ) -> Result<Said, Away> {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let arguments = [
            verb as i64,
            now.seconds(),
            i64::from(self.attempts),
            seconds(self.window),
            seconds(LONGEST_LOCK),
            seconds(FORGIVEN_AFTER),
            seconds(TURN_LIFE),
            turn,
            began.seconds(),
        ];
        let key = self.key(pair);
        let keys = [key.as_str(), &format!("{key}:turns")];
        let answer = self.redis.run(&TALLY, &keys, &arguments).await?;
        let wait = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        match *answer {
            [0, locked] => Ok(Said::Locked(wait(locked))),
            [1, _] => Ok(Said::Busy),
            [2, turn, wrong, locked] => Ok(Said::Open {
                turn,
                wrong,
                locked: wait(locked),
            }),
            _ => Err(Away),
        }
    }

    /// Name and source go in as one hash: Redis learns neither who logs in nor from where.
    fn key(&self, pair: &Pair) -> String {
        let pair = SecretHash::of(&format!("{} {}", pair.name.to_hex(), pair.source)).to_hex();
        format!("{}:{pair:.32}", self.name)
    }
}
