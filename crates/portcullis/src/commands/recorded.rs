//! Changes by commands, which are records of the audit trail like those of servers.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use portcullis_common::audit::{Actor, AuditOptions, AuditTrail, Draft, Event};
use portcullis_common::clock::SystemClock;
use portcullis_common::config::Config;
use portcullis_common::metrics::SharedMetrics;

use super::{Failure, Sentence};

/// The audit trail of a command. It is opened before anything else, so that nothing is changed that
/// could not be recorded.
pub(super) struct Recorder(AuditTrail);

impl Recorder {
    /// Opens the trail that is configured.
    pub(super) fn open(config: &Config) -> Result<Self, Failure> {
        let options = AuditOptions::of_command(config);
        let (clock, metrics) = (Arc::new(SystemClock), SharedMetrics::default());
        Ok(Self(AuditTrail::start(options, clock, metrics)?))
    }

    /// Makes a change and its record, and comes back when the record is written.
    pub(super) async fn change<T, E: Into<Failure>>(
        self,
        event: Event,
        change: impl AsyncFnOnce(&mut Draft) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let mut record = self.0.draft(event).by(Actor::Operator(own_uid()));
        let result = Box::pin(change(&mut record)).await;
        match &result {
            Ok(_) => record.succeed(),
            Err(_) => record.fail("not_done"),
        }
        drop(record);
        let written = self.0.close();
        let done = result.map_err(E::into)?;
        written.map_err(|_| {
            Sentence::failure("it was done, but the audit trail could not be written: see [audit]")
        })?;
        Ok(done)
    }
}

/// The number of the account under which this process runs, where the system says it.
fn own_uid() -> Option<u32> {
    std::fs::metadata("/proc/self").ok().map(|own| own.uid())
}
