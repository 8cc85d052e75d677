//! Traces: which request belongs to which call of whom, and spans for a collector.
//!
//! A trace context is taken from outside and handed on whether or not spans are collected. Spans
//! hold routes, statuses and names that we chose; never a query, a header, a body or a token.

mod collector;
mod context;
mod encoding;
mod exporter;
mod span;

pub use collector::Collector;
pub use context::{TRACE_PARENT, TraceContext};
pub use exporter::{Exporter, ExporterParts, start};
pub use span::{Attribute, OpenSpan, SpanKind, Tracer};

#[cfg(test)]
mod tests;
