//! The trail as it is passed around, and the drafts that become its records.

use std::fmt::{self, Display};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use http::Extensions;

use super::line::Process;
use super::record::{Actor, AuditRecord, Event, Outcome, cut};
use super::sink::{AuditSink, OpenSink};
use super::writer::Writer;
use crate::client_address::ClientAddress;
use crate::clock::SharedClock;
use crate::config::{Config, Role};
use crate::correlation::CorrelationId;
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
        if is_writable && shared.queue().records.len() < shared.capacity {
            Ok(())
        } else {
            Err(AuditUnavailable)
        }
    }

    /// Begins a record; it is one when the draft is dropped.
    pub fn draft(&self, event: Event) -> Draft {
        Draft {
            trail: self.clone(),
            record: AuditRecord::new(event),
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
        if shared.is_writable.load(Ordering::Relaxed) && queue.answered >= asked {
            Ok(())
        } else {
            Err(AuditUnavailable)
        }
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
        if is_orderly && handle.shared.is_writable.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(AuditUnavailable)
        }
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
        record.at = self.clock.now_millis();
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

/// A record in the making. Whatever happens to what it is about, it becomes one record when it is
/// dropped: where nobody said how it ended (the peer hung up, our store was away), it is unfinished.
///
/// Without a trail every method does nothing.
#[derive(Debug)]
#[must_use = "a draft that is dropped at once is an unfinished record"]
pub struct Draft {
    trail: AuditTrail,
    record: AuditRecord,
}

impl Draft {
    const fn is_on(&self) -> bool {
        self.trail.is_on()
    }

    fn text(&self, text: &str) -> Option<Box<str>> {
        self.is_on().then(|| cut(text))
    }

    /// Takes source and correlation id of a request, as the front of the process knows them.
    pub fn of_request(mut self, extensions: &Extensions) -> Self {
        if self.is_on() {
            let source = extensions.get::<ClientAddress>();
            self.record.source = source.map(|source| source.0);
            let correlation = extensions.get::<CorrelationId>();
            self.record.correlation = correlation.map(|id| id.as_str().into());
        }
        self
    }

    /// Takes source and correlation id where there is no request any more.
    pub fn from(mut self, source: Option<IpAddr>, correlation: &str) -> Self {
        self.record.source = source;
        self.record.correlation = self.text(correlation).filter(|id| !id.is_empty());
        self
    }

    /// Says who acted.
    pub fn by(mut self, actor: Actor) -> Self {
        self.record.actor = actor;
        self
    }

    /// It is another event than it seemed.
    pub const fn event(&mut self, event: Event) -> &mut Self {
        self.record.event = event;
        self
    }

    /// Names who acted, once they proved it.
    pub const fn actor(&mut self, actor: Actor) -> &mut Self {
        self.record.actor = actor;
        self
    }

    /// Names the client.
    pub fn client(&mut self, id: &str) -> &mut Self {
        self.record.client = self.text(id);
        self
    }

    /// Names the subject: the id of an account, or what a token says.
    pub fn subject(&mut self, id: &str) -> &mut Self {
        self.record.subject = self.text(id);
        self
    }

    /// Names the account for people. Never what somebody entered, only what the store has.
    pub fn username(&mut self, name: &str) -> &mut Self {
        self.record.username = self.text(name);
        self
    }

    /// Names the issuer of the subject, where it is not our own.
    pub fn issuer(&mut self, issuer: &str) -> &mut Self {
        self.record.issuer = self.text(issuer);
        self
    }

    /// Names what it was about: a resource, a tool, a key, a client, an account.
    pub fn target(&mut self, target: &str) -> &mut Self {
        self.record.target = self.text(target);
        self
    }

    /// Names the grant type.
    pub const fn grant_type(&mut self, grant_type: &'static str) -> &mut Self {
        self.record.grant_type = Some(grant_type);
        self
    }

    /// Names the scope.
    pub fn scope(&mut self, scope: &impl Display) -> &mut Self {
        if self.is_on() {
            self.record.scope = self.text(&scope.to_string());
        }
        self
    }

    /// Names the grant.
    pub fn grant(&mut self, id: &str) -> &mut Self {
        self.record.grant = self.text(id);
        self
    }

    /// It was done.
    pub const fn succeed(&mut self) {
        self.record.outcome = Outcome::Ok;
    }

    /// It was refused, for this reason.
    pub const fn refuse(&mut self, reason: &'static str) {
        self.record.outcome = Outcome::Refused(reason);
    }

    /// It was permitted and ended otherwise.
    pub const fn fail(&mut self, reason: &'static str) {
        self.record.outcome = Outcome::Failed(reason);
    }

    /// Whether nobody has said yet how it ended.
    pub fn is_unfinished(&self) -> bool {
        self.record.outcome == super::record::UNFINISHED
    }

    /// The beginning of a record of something else that happened in the same moment, to the same.
    pub fn beside(&self, event: Event) -> Self {
        Self {
            trail: self.trail.clone(),
            record: AuditRecord {
                event,
                ..self.record.clone()
            },
        }
    }

    /// Makes it no record.
    pub fn discard(mut self) {
        self.trail = AuditTrail::off();
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(handle) = &self.trail.0 {
            let nothing = AuditRecord::new(self.record.event);
            let record = std::mem::replace(&mut self.record, nothing);
            handle.shared.push(record);
        }
    }
}
