//! Spans, from their beginning to the queue of the exporter.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use super::TraceContext;
use crate::clock::SharedClock;
use crate::entropy::SharedEntropy;
use crate::metrics::SharedMetrics;

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that was answered.
    Server,
    /// Work inside a request.
    Internal,
}

/// A value of an attribute; nothing that a stranger sends becomes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

/// A span that has ended.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) context: TraceContext,
    pub(super) parent: Option<TraceContext>,
    pub(super) link: Option<TraceContext>,
    pub(super) kind: SpanKind,
    pub(super) name: String,
    /// Nanoseconds since the Unix epoch.
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) attributes: Vec<(&'static str, Attribute)>,
    pub(super) has_failed: bool,
}

/// Begins spans, or does nothing where no collector is configured.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Shared>>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Sender<Span>,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
    pub(super) metrics: SharedMetrics,
    /// Which part of the traces that begin here is sent, from 0 to 1.
    pub(super) ratio: f64,
}

impl Tracer {
    pub(super) fn new(shared: Shared) -> Self {
        Self(Some(Arc::new(shared)))
    }

    /// Begins a span below `parent`, else one of a new trace. `None` where nothing is collected; a
    /// span whose trace is not sampled has a context and goes nowhere.
    pub fn begin(&self, kind: SpanKind, parent: Option<TraceContext>) -> Option<OpenSpan> {
        let shared = self.0.as_ref()?;
        let entropy = &*shared.entropy;
        let context = match parent {
            // W3C Trace Context §3.2.2.5: who began the trace has decided.
            Some(parent) => parent.child(entropy),
            None => TraceContext::root(entropy).map(|root| {
                let limit = shared.ratio * 4_294_967_296.0;
                root.sampled(f64::from(root.lot()) < limit)
            }),
        };
        Some(OpenSpan {
            shared: Arc::clone(shared),
            context: context.ok()?,
            parent,
            link: None,
            kind,
            began: shared.clock.unix_nanos(),
        })
    }
}

/// A span under way. One that is dropped was never there.
#[must_use]
#[derive(Debug)]
pub struct OpenSpan {
    shared: Arc<Shared>,
    context: TraceContext,
    parent: Option<TraceContext>,
    link: Option<TraceContext>,
    kind: SpanKind,
    began: u64,
}

impl OpenSpan {
    /// Its context, for whoever works below it.
    pub const fn context(&self) -> TraceContext {
        self.context
    }

    /// Names a span of another trace that belongs to the same work.
    pub const fn linked_to(mut self, other: Option<TraceContext>) -> Self {
        self.link = other;
        self
    }

    /// Ends it and hands it to the exporter. Never waits: where the queue is full, it is dropped
    /// and counted.
    pub fn end(self, name: String, attributes: Vec<(&'static str, Attribute)>, has_failed: bool) {
        if !self.context.is_sampled() {
            return;
        }
        let span = Span {
            context: self.context,
            parent: self.parent,
            link: self.link,
            kind: self.kind,
            name,
            began: self.began,
            ended: self.shared.clock.unix_nanos().max(self.began),
            attributes,
            has_failed,
        };
        if self.shared.queue.try_send(span).is_err() {
            self.shared.metrics.spans("dropped", 1);
        }
    }
}
