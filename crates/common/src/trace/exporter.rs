//! Brings spans to the collector, beside the requests and never in their way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver};
use tokio::time::Instant;

use super::collector::{Collector, Delivery};
use super::encoding;
use super::span::{Shared, Span, Tracer};
use crate::clock::SharedClock;
use crate::entropy::SharedEntropy;
use crate::metrics::SharedMetrics;

/// Most spans that wait; what comes after is dropped and counted.
const QUEUE: usize = 4096;
/// Most spans of one request.
const BATCH: usize = 512;
/// How long a span may wait for others.
const DELAY: Duration = Duration::from_secs(1);
/// The pauses between tries, while the collector is away.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// How long a stop waits for the last spans.
const FLUSH: Duration = Duration::from_secs(5);

/// What tracer and exporter are built from.
#[derive(Debug)]
pub struct ExporterParts {
    /// The name under which the spans stand.
    pub service: &'static str,
    /// Where they go.
    pub collector: Collector,
    /// When they began and ended.
    pub clock: SharedClock,
    /// What their ids are made of.
    pub entropy: SharedEntropy,
    /// Where they are counted.
    pub metrics: SharedMetrics,
}

/// A tracer, and the exporter that takes its spans away once it runs.
pub fn start(parts: ExporterParts) -> (Tracer, Exporter) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let tracer = Tracer::new(Shared {
        queue: sender,
        clock: parts.clock,
        entropy: parts.entropy,
        metrics: Arc::clone(&parts.metrics),
        ratio: parts.collector.ratio(),
    });
    let exporter = Exporter {
        queue,
        batch: Vec::with_capacity(BATCH),
        service: parts.service,
        collector: parts.collector,
        metrics: parts.metrics,
        is_away: false,
    };
    (tracer, exporter)
}

/// The job that sends spans.
#[derive(Debug)]
pub struct Exporter {
    queue: Receiver<Span>,
    /// What is being sent; it stays here until it is taken or refused.
    batch: Vec<Span>,
    service: &'static str,
    collector: Collector,
    metrics: SharedMetrics,
    is_away: bool,
}

impl Exporter {
    /// Sends spans until `stop` is done; then what is left, for a few seconds at most.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        tokio::select! {
            () = stop => {}
            () = self.work() => {}
        }
        if tokio::time::timeout(FLUSH, self.flush()).await.is_err() {
            tracing::warn!("the collector did not take the last spans in time");
        }
        self.queue.close();
        let left = self.batch.len() + self.queue.len();
        self.metrics.spans("dropped", left as u64);
    }

    async fn work(&mut self) {
        while self.gather().await {
            let mut pause = FIRST_PAUSE;
            while let Some(asked) = self.deliver().await {
                tokio::time::sleep(pause.max(asked)).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }

    /// Fills the batch, waiting for the first span as long as it takes; false when no more can come.
    async fn gather(&mut self) -> bool {
        if self.queue.recv_many(&mut self.batch, BATCH).await == 0 {
            return false;
        }
        let until = Instant::now() + DELAY;
        while self.batch.len() < BATCH {
            let room = BATCH - self.batch.len();
            let more = self.queue.recv_many(&mut self.batch, room);
            match tokio::time::timeout_at(until, more).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        true
    }

    /// Sends the batch once. Afterwards it is empty, or the collector is away and what comes back is
    /// the shortest pause before the next try.
    async fn deliver(&mut self) -> Option<Duration> {
        let body = encoding::request(self.service, self.batch.iter());
        match self.collector.send(body).await {
            Delivery::Taken { rejected } => {
                self.note_back();
                let sent = (self.batch.len() as u64).saturating_sub(rejected);
                self.metrics.spans("sent", sent);
                self.metrics.spans("refused", rejected);
            }
            Delivery::Refused(cause) => {
                tracing::warn!(
                    cause,
                    spans = self.batch.len(),
                    "the collector refused spans"
                );
                self.metrics.spans("refused", self.batch.len() as u64);
            }
            Delivery::Away(cause, pause) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    let text = "the collector does not take spans; they wait, and are dropped when too many do";
                    tracing::warn!(cause, "{text}");
                }
                return Some(pause.unwrap_or_default());
            }
        }
        self.batch.clear();
        None
    }

    fn note_back(&mut self) {
        if std::mem::take(&mut self.is_away) {
            tracing::info!("the collector takes spans again");
        }
    }

    /// Sends what is left, each batch once.
    async fn flush(&mut self) {
        loop {
            while self.batch.len() < BATCH
                && let Ok(span) = self.queue.try_recv()
            {
                self.batch.push(span);
            }
            if self.batch.is_empty() || self.deliver().await.is_some() {
                return;
            }
        }
    }
}
