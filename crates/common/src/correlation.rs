//! Correlation ids: one id under which a request stands in every log.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName};

use crate::entropy::Entropy;
use crate::trace::TraceContext;

/// The header that carries the id in and out.
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");
/// Longest id taken from outside, in bytes.
const MAX_BYTES: usize = 64;

/// The id of one request: letters, digits, `-`, `_`, `.`; at most 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrelationId(String);

/// Gives every request of a process its id. Ids are unique, not secret: a random start, and a count.
#[derive(Debug)]
pub struct CorrelationIds {
    process: [u8; 6],
    count: AtomicU64,
}

impl CorrelationIds {
    /// Ids that no other process gives. Without randomness they are still unique in this one.
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut process = [0; 6];
        if entropy.fill(&mut process).is_err() {
            process = [0; 6];
        }
        let count = AtomicU64::new(0);
        Self { process, count }
    }

    /// Takes the id from `X-Correlation-ID`, else the trace id of `traceparent`, else makes one.
    /// What does not look like an id is not taken over: it would stand in logs as it is.
    pub fn of(&self, headers: &HeaderMap) -> CorrelationId {
        let given = headers.get(CORRELATION_HEADER);
        let given = given.and_then(|value| value.to_str().ok().filter(|text| is_id(text)));
        let trace = || TraceContext::of(headers).map(TraceContext::trace_id);
        match given.map(str::to_owned).or_else(trace) {
            Some(text) => CorrelationId(text),
            None => self.next(),
        }
    }

    fn next(&self) -> CorrelationId {
        let count = self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut bytes = [0; 12];
        let parts = self.process.iter().chain(count.iter().skip(2));
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = *part;
        }
        CorrelationId(URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl CorrelationId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= MAX_BYTES && text.bytes().all(allowed)
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::trace::TRACE_PARENT;

    fn id(name: HeaderName, value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        CorrelationIds::new(&SystemEntropy).of(&headers).to_string()
    }

    #[test]
    fn no_id_is_given_twice_by_one_process_or_by_two() {
        let none = HeaderMap::new();
        let processes = [(); 2].map(|()| CorrelationIds::new(&SystemEntropy));
        let ids = processes
            .iter()
            .flat_map(|ids| (0..300).map(|_| ids.of(&none).to_string()));
        let ids: std::collections::HashSet<String> = ids.collect();
        assert_eq!(ids.len(), 600);
        assert!(ids.iter().all(|id| id.len() == 16 && is_id(id)));
    }

    #[test]
    fn an_id_is_taken_over_only_if_it_looks_like_one() {
        assert_eq!(id(CORRELATION_HEADER, "abc-1"), "abc-1");
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(id(TRACE_PARENT, trace), "4bf92f3577b34da6a3ce929d0e0e4736");
        for wrong in ["", "a b", "a\"b", &"a".repeat(65)] {
            assert_eq!(id(CORRELATION_HEADER, wrong).len(), 16, "{wrong}");
        }
    }
}
