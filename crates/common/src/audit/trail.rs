//! The trail as it is passed around.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::draft::Draft;
use super::line::Process;
use super::record::{AuditRecord, Event};
use super::sink::{AuditSink, OpenSink};
use super::writer::Writer;
use crate::clock::SharedClock;
use crate::config::{Config, Role};
use crate::metrics::SharedMetrics;

/// Most records that wait to be written: a disk that hangs must not cost all memory.
const QUEUE: usize = 16_384;

/// Why there is no audit trail.
#[derive(Debug, thiserror::Error)]
#[error("[audit] file {place} cannot be opened for appending: {cause}")]
pub struct AuditError {
    place: String,
    cause: io::Error,
}

/// Records cannot be written just now: the last ones could not, or too many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail cannot be written; what must be recorded is refused until it can")]
pub struct AuditUnavailable;

impl AuditUnavailable {
    const fn unless(can_write: bool) -> Result<(), Self> {
        match can_write {
            true => Ok(()),
            false => Err(Self),
        }
    }
}

/// What a trail is made of.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// Where the lines go.
    pub sink: AuditSink,
    /// Most records that wait.
    pub queue: usize,
    /// What the process is, for every line.
    pub role: &'static str,
    /// The issuer of its own subjects, for every line.
    pub issuer: Option<String>,
}

impl AuditOptions {
    /// What the configuration says for a server; `None` if there is to be no trail.
    pub fn of_server(role: Role, config: &Config) -> Option<Self> {
        let issuer = config.authz.issuer.as_str();
        let (role, issuer) = match role {
            Role::Both => ("serve", Some(issuer.to_owned())),
            Role::Authz => ("authz", Some(issuer.to_owned())),
            // Its callers are of other issuers.
            Role::Resource => ("resource", None),
        };
        Some(Self {
            sink: config.audit_sink.clone()?,
            queue: QUEUE,
            role,
            issuer,
        })
    }

    /// The same for a command, whose own answer stands on standard output.
    pub fn of_command(config: &Config) -> Option<Self> {
        let sink = match config.audit_sink.clone()? {
            AuditSink::Stdout => AuditSink::Stderr,
            sink => sink,
        };
        Some(Self {
            sink,
            queue: QUEUE,
            role: "command",
            issuer: Some(config.authz.issuer.as_str().to_owned()),
        })
    }
}

/// The audit trail of a process, or none. Cloning shares it; with the last clone the writer ends.
#[derive(Clone, Debug, Default)]
pub struct AuditTrail(Option<Arc<Handle>>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What requests and the writer share.
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    /// Wakes the writer.
    pub(super) wanted: Condvar,
    /// Wakes whoever waits for the writer.
    pub(super) flushed: Condvar,
    /// Whether the last flush succeeded.
    pub(super) is_writable: AtomicBool,
    pub(super) capacity: usize,
    pub(super) metrics: SharedMetrics,
    pub(super) process: Process,
    pub(super) clock: SharedClock,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) records: Vec<AuditRecord>,
    /// Records for which there was no room.
    pub(super) lost: u64,
    /// How many flushes were asked for.
    pub(super) asked: u64,
    /// How many of them are answered.
    pub(super) answered: u64,
    pub(super) is_closed: bool,
    pub(super) is_over: bool,
}

impl AuditTrail {
    /// No trail: drafts become nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Opens the sink and starts the writer.
    pub fn start(
        options: Option<AuditOptions>,
        clock: SharedClock,
        metrics: SharedMetrics,
    ) -> Result<Self, AuditError> {
        let Some(options) = options else {
            return Ok(Self::off());
        };
        let place = match &options.sink {
            AuditSink::File(path) => path.display().to_string(),
            AuditSink::Stdout | AuditSink::Stderr => "stdout".to_owned(),
        };
        let refuse = |cause| AuditError { place, cause };
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wanted: Condvar::new(),
            flushed: Condvar::new(),
            is_writable: AtomicBool::new(true),
            capacity: options.queue.max(1),
            metrics,
            process: Process {
                role: options.role,
                issuer: options.issuer,
            },
            clock,
        });
        let started = OpenSink::open(options.sink).and_then(|sink| {
            let writer = Writer::new(Arc::clone(&shared), sink);
            let thread = std::thread::Builder::new().name("audit".to_owned());
            thread.spawn(move || writer.run())
        });
        Ok(Self(Some(Arc::new(Handle {
            writer: Mutex::new(Some(started.map_err(refuse)?)),
            shared,
        }))))
    }

    /// Whether there is a trail.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether what must be recorded may be done now.
    pub fn check(&self) -> Result<(), AuditUnavailable> {
        let Some(handle) = &self.0 else {
            return Ok(());
        };
        let shared = &handle.shared;
        let is_writable = shared.is_writable.load(Ordering::Relaxed);
        AuditUnavailable::unless(is_writable && shared.queue().records.len() < shared.capacity)
    }

    /// Begins a record; it is one when the draft is dropped.
    pub fn draft(&self, event: Event) -> Draft {
        Draft::new(self.clone(), event)
    }

    /// Hands a record to the writer.
    pub(super) fn push(&self, record: AuditRecord) {
        if let Some(handle) = &self.0 {
            handle.shared.push(record);
        }
    }

    /// Has everything written that was recorded until now, and waits for it. Also looks at the file
    /// anew where nothing waits, so that a rotation is followed.
    pub fn flush(&self) -> Result<(), AuditUnavailable> {
        let Some(handle) = &self.0 else {
            return Ok(());
        };
        let shared = &handle.shared;
        let mut queue = shared.queue();
        queue.asked += 1;
        let asked = queue.asked;
        shared.wanted.notify_one();
        while queue.answered < asked && !queue.is_over {
            queue = shared
                .flushed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let is_writable = shared.is_writable.load(Ordering::Relaxed);
        AuditUnavailable::unless(is_writable && queue.answered >= asked)
    }

    /// Has everything written and ends the writer; whatever is recorded later is lost.
    pub fn close(&self) -> Result<(), AuditUnavailable> {
        let Some(handle) = &self.0 else {
            return Ok(());
        };
        handle.shared.close();
        let writer = handle.writer.lock();
        let writer = writer.unwrap_or_else(PoisonError::into_inner).take();
        let is_orderly = writer.is_none_or(|writer| writer.join().is_ok());
        let is_writable = handle.shared.is_writable.load(Ordering::Relaxed);
        AuditUnavailable::unless(is_orderly && is_writable)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.queue().is_closed = true;
        self.wanted.notify_one();
    }

    fn push(&self, mut record: AuditRecord) {
        record.at = self.clock.unix_millis();
        let mut queue = self.queue();
        let waiting = queue.records.len();
        if waiting >= self.capacity || queue.is_over {
            queue.lost += 1;
            drop(queue);
            self.metrics.audit_records("lost", 1);
            return;
        }
        queue.records.push(record);
        drop(queue);
        // Woken once for many: by the first, and when it had better not wait for more.
        if waiting == 0 || waiting + 1 == self.capacity / 2 {
            self.wanted.notify_one();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Shared");
        shown.field("is_writable", &self.is_writable);
        shown.finish_non_exhaustive()
    }
}
