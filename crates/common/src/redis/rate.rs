//! How often something may happen, counted for all replicas.
//!
//! The generic cell rate algorithm: a rate remembers one moment, that at which it would be idle
//! again; each use moves it by an equal share of the period, and none may move it further than a
//! period ahead. So a whole period's worth may come at one instant, and then one in each share.

use std::sync::LazyLock;
use std::time::Duration;

use super::{Away, Script, SharedRedis};
use crate::clock::Timestamp;

/// Every rate of the call allows the use, or none of them counts it.
const ADMIT: &str = "
local now, wait, idle = tonumber(ARGV[1]), 0, {}
for i, key in ipairs(KEYS) do
  local share, period = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  idle[i] = math.max(tonumber(redis.call('GET', key) or now), now) + share
  wait = math.max(wait, idle[i] - now - period)
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do
  local life = math.ceil(tonumber(ARGV[2 * i + 1]) / 1000)
  redis.call('SET', key, string.format('%.0f', idle[i]), 'PX', life)
end
return 0
";
const TAKE_BACK: &str = "
for i, key in ipairs(KEYS) do
  local idle = tonumber(redis.call('GET', key) or 0)
  if idle > 0 then
    redis.call('SET', key, string.format('%.0f', idle - tonumber(ARGV[2 * i])), 'KEEPTTL')
  end
end
return 0
";

static SCRIPTS: LazyLock<(Script, Script)> =
    LazyLock::new(|| (Script::new(ADMIT), Script::new(TAKE_BACK)));

/// So many in a period, under a key of its own.
#[derive(Clone, Debug)]
pub struct Rate {
    /// The key, without what is common to all keys.
    pub key: String,
    /// How many in a period; none means one.
    pub limit: u32,
    /// The period.
    pub period: Duration,
}

/// Too many; the duration is after how long the next may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded(pub Duration);

impl SharedRedis {
    /// Counts one use against each of these rates, if all of them allow it.
    ///
    /// The moment is handed in, so clocks of replicas must agree: one that is ahead by some seconds
    /// allows as much more as comes in these seconds.
    pub async fn admit(
        &self,
        rates: &[Rate],
        now: Timestamp,
    ) -> Result<Result<(), Exceeded>, Away> {
        let answer = self
            .run(&SCRIPTS.0, &keys(rates), &arguments(rates, now))
            .await?;
        match answer.first() {
            Some(0) => Ok(Ok(())),
            Some(wait) => {
                let wait = u64::try_from(*wait).unwrap_or_default();
                // Whole seconds, like every time that a client is told.
                Ok(Err(Exceeded(Duration::from_secs(wait.div_ceil(1_000_000)))))
            }
            None => Err(Away),
        }
    }

    /// Takes back one use, because nothing came of it.
    pub async fn take_back(&self, rates: &[Rate], now: Timestamp) -> Result<(), Away> {
        let answer = self
            .run(&SCRIPTS.1, &keys(rates), &arguments(rates, now))
            .await;
        answer.map(|_| ())
    }
}

fn keys(rates: &[Rate]) -> Vec<&str> {
    rates.iter().map(|rate| rate.key.as_str()).collect()
}

/// The moment, then the share and the period of each rate; all in microseconds, so that a share of
/// a minute is a whole number for most limits.
fn arguments(rates: &[Rate], now: Timestamp) -> Vec<i64> {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let shares = rates.iter().flat_map(|rate| {
        let period = micros(rate.period);
        [period / i64::from(rate.limit.max(1)), period]
    });
    std::iter::once(now.seconds().saturating_mul(1_000_000))
        .chain(shares)
        .collect()
}
