//! The thread that prints and writes.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::line;
use super::record::{AuditRecord, Event, Outcome};
use super::sink::{Backlog, OpenSink};
use super::trail::Shared;

/// How long records are gathered before they are written together: the most that a kill can lose
/// is this and the time of one write.
const GATHER: Duration = Duration::from_millis(100);
/// How long to wait before a write that failed is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// What is kept of the memory of a large group.
const KEPT: usize = 256 * 1024;
/// The same for the queue, in records.
const KEPT_RECORDS: usize = 1024;

/// The one that writes.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    sink: OpenSink,
    /// What is being written. While it is stuck, everything else waits in the bounded queue.
    backlog: Backlog,
    /// Emptied, to be swapped with the queue.
    spare: Vec<AuditRecord>,
    is_writable: bool,
}

/// What a look into the queue said.
struct Turn {
    /// How many flushes were asked for until then.
    asked: u64,
    is_closed: bool,
    /// Whether the queue was taken over; if not, the backlog was stuck.
    was_taken: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, sink: OpenSink) -> Self {
        Self {
            shared,
            sink,
            backlog: Backlog::default(),
            spare: Vec::new(),
            is_writable: true,
        }
    }

    /// Writes until the trail is closed.
    pub(super) fn run(mut self) {
        loop {
            let turn = self.take();
            let written = self.backlog.records;
            let result = self.sink.write(&mut self.backlog);
            self.note(&result, written);
            if self.answer(&turn, result.is_ok()) {
                return;
            }
        }
    }

    /// Waits until there is something to do, and takes what waits unless the last group is stuck.
    fn take(&mut self) -> Turn {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue();
        loop {
            if queue.is_closed || queue.asked > queue.answered {
                break;
            }
            let is_stuck = !self.is_writable || !self.backlog.is_empty();
            if !is_stuck && queue.records.is_empty() {
                queue = shared
                    .wanted
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if !is_stuck && queue.records.len() >= shared.capacity / 2 {
                break;
            }
            let pause = if is_stuck { RETRY } else { GATHER };
            let (woken, timeout) = shared
                .wanted
                .wait_timeout(queue, pause)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if timeout.timed_out() {
                break;
            }
        }
        let turn = Turn {
            asked: queue.asked,
            is_closed: queue.is_closed,
            was_taken: self.backlog.is_empty(),
        };
        let mut lost = 0;
        if turn.was_taken {
            std::mem::swap(&mut queue.records, &mut self.spare);
            lost = std::mem::take(&mut queue.lost);
        }
        drop(queue);
        self.print(lost);
        turn
    }

    fn print(&mut self, lost: u64) {
        let process = &self.shared.process;
        for record in self.spare.drain(..) {
            line::print(&mut self.backlog.text, &record, process);
            self.backlog.records += 1;
        }
        self.spare.shrink_to(KEPT_RECORDS);
        if lost > 0 {
            let record = AuditRecord {
                at: self.shared.clock.unix_millis(),
                lost: Some(lost),
                outcome: Outcome::Failed("no_room"),
                actor: super::Actor::Server,
                ..AuditRecord::new(Event::RecordsLost)
            };
            line::print(&mut self.backlog.text, &record, process);
            self.backlog.records += 1;
        }
    }

    /// Tells everybody whether records can be written; the log hears of it once.
    fn note(&mut self, result: &io::Result<()>, written: u64) {
        let shared = &self.shared;
        match result {
            Ok(()) => {
                shared.metrics.audit_records("written", written);
                self.backlog.text.shrink_to(KEPT);
                if !self.is_writable {
                    tracing::info!("the audit trail can be written again");
                }
            }
            Err(error) => {
                shared.metrics.audit_failure();
                if self.is_writable {
                    tracing::error!(
                        %error,
                        "the audit trail cannot be written; no tokens are issued and nothing is \
                         changed until it can"
                    );
                }
            }
        }
        self.is_writable = result.is_ok();
        shared
            .is_writable
            .store(self.is_writable, Ordering::Relaxed);
    }

    /// Answers whoever waits; `true` if this was the last turn.
    fn answer(&self, turn: &Turn, is_written: bool) -> bool {
        let mut queue = self.shared.queue();
        // A group that was stuck is out now; what came after it is next. The last turn leaves nothing.
        let has_more = turn.is_closed && !queue.records.is_empty();
        if is_written && (!turn.was_taken || has_more) {
            return false;
        }
        queue.answered = queue.answered.max(turn.asked);
        queue.is_over = turn.is_closed;
        if queue.is_over {
            let unwritten = self.backlog.records + queue.records.len() as u64 + queue.lost;
            if unwritten > 0 {
                tracing::error!(unwritten, "the server ends with audit records unwritten");
            }
        }
        drop(queue);
        self.shared.flushed.notify_all();
        turn.is_closed
    }
}
