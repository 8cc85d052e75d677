//! The context of a trace, as it travels in `traceparent` (W3C Trace Context §3.2).

use std::fmt;

use http::{HeaderMap, HeaderName};

use crate::entropy::{Entropy, EntropyError};

/// The header, and the member of MCP's `_meta`, that carry the context.
pub const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longest text that is looked at, in bytes; a version after ours may be longer than ours.
const MAX_BYTES: usize = 128;

/// One span of somebody's trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: [u8; 16],
    span: [u8; 8],
    is_sampled: bool,
}

impl TraceContext {
    /// Reads the text; anything that is not a context is `None` and means that there is none.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let mut parts = text.split('-');
        let version = bytes_of::<1>(parts.next()?)?;
        let trace = bytes_of(parts.next()?)?;
        let span = bytes_of(parts.next()?)?;
        let [flags] = bytes_of::<1>(parts.next()?)?;
        // W3C Trace Context §3.2.4: version ff is none; later versions may have more parts.
        let is_known = match version {
            [0xff] => false,
            [0] => parts.next().is_none(),
            _ => true,
        };
        let is_named = trace != [0; 16] && span != [0; 8];
        (is_known && is_named).then_some(Self {
            trace,
            span,
            is_sampled: flags & 1 == 1,
        })
    }

    /// The context in these headers; of two nobody knows which one holds.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACE_PARENT).iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        Self::parse(only.to_str().ok()?)
    }

    /// The first span of a new trace.
    pub(super) fn root(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut trace = [0; 16];
        entropy.fill(&mut trace)?;
        let root = Self {
            trace,
            span: [0; 8],
            is_sampled: false,
        };
        root.child(entropy)
    }

    /// A new span below this one.
    pub(super) fn child(self, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut span = [0; 8];
        entropy.fill(&mut span)?;
        Ok(Self { span, ..self })
    }

    pub(super) const fn sampled(self, is_sampled: bool) -> Self {
        Self { is_sampled, ..self }
    }

    /// A number below 2³² that is the same for everybody in this trace.
    pub(super) fn lot(self) -> u32 {
        let [.., a, b, c, d] = self.trace;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Whether somebody before us wants the spans of this trace.
    pub const fn is_sampled(self) -> bool {
        self.is_sampled
    }

    /// The trace, as 32 hexadecimal digits.
    pub fn trace_id(self) -> String {
        hexadecimal(&self.trace)
    }

    /// The span, as 16 hexadecimal digits.
    pub fn span_id(self) -> String {
        hexadecimal(&self.span)
    }

    /// Whether both are spans of one trace.
    pub fn is_same_trace(self, other: Self) -> bool {
        self.trace == other.trace
    }
}

/// The text of `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled);
        let (trace, span) = (self.trace_id(), self.span_id());
        write!(formatter, "00-{trace}-{span}-{flags:02x}")
    }
}

/// Exactly `N` bytes of lower-case hexadecimal digits.
fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.bytes().all(is_digit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _written = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_and_a_later_version_may_say_more() {
        let context = TraceContext::parse(GOOD).unwrap();
        assert_eq!(context.to_string(), GOOD);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id(), "00f067aa0ba902b7");
        let later = format!("cc{}-what-comes", GOOD.trim_start_matches("00"));
        assert_eq!(TraceContext::parse(&later), Some(context));
        let quiet = GOOD.replace("-01", "-02");
        assert!(!TraceContext::parse(&quiet).unwrap().is_sampled());
    }

    #[test]
    fn what_is_no_context_counts_as_none() {
        let long = format!("01{}-{}", GOOD.trim_start_matches("00"), "a".repeat(200));
        for wrong in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD.replace("00-4", "ff-4"),
            &format!("{GOOD}-more"),
            &GOOD.replace("-01", ""),
            &GOOD.replace("00f067aa0ba902b7", "0000000000000000"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("4bf9", "4bf"),
            &GOOD.replace("4bf9", "+bf9"),
            &long,
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
        let mut headers = HeaderMap::new();
        headers.append(TRACE_PARENT, GOOD.parse().unwrap());
        assert!(TraceContext::of(&headers).is_some());
        headers.append(TRACE_PARENT, GOOD.parse().unwrap());
        assert_eq!(TraceContext::of(&headers), None, "two headers");
    }
}
