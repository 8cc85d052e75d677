//! How many new clients may appear.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_common::clock::Timestamp;
use portcullis_common::redis::SharedRedis;

use super::metadata::MetadataDigest;
use crate::clients::window::SharedWindow;
use crate::limiter::Refused;

/// Most new clients in a minute, from all sources together.
const CEILING: u32 = 600;
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
    window: SharedWindow,
    turns: Vec<tokio::sync::Mutex<()>>,
}

impl RegistrationGate {
    /// A gate that lets this many new clients of one source pass in a minute.
    pub(crate) fn new(per_source: u32, redis: Option<SharedRedis>) -> Self {
        Self {
            window: SharedWindow::new("registrations", per_source, CEILING, redis),
            turns: std::iter::repeat_with(tokio::sync::Mutex::default)
                .take(TURNS)
                .collect(),
        }
    }

    /// Counts a new client, or refuses it.
    pub(super) async fn admit(
        &self,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<(), Refused<TooManyRegistrations>> {
        let admitted = self.window.admit(source, now).await;
        admitted.map_err(|refused| match refused {
            Refused::Limit(retry_after) => Refused::Limit(TooManyRegistrations { retry_after }),
            Refused::Away(away) => Refused::Away(away),
        })
    }

    /// Takes back what was counted for a client that was not made.
    pub(super) async fn take_back(&self, source: IpAddr, now: Timestamp) {
        self.window.take_back(source, now).await;
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
