//! What commands print: results on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::Write as _;

use serde_json::Value;

/// The two streams. A stream that nobody reads any more is no error worth a message.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    is_terminal: bool,
    logs_to_terminal: bool,
}

impl Output {
    /// Told whether standard output and standard error are terminals.
    pub const fn new(is_terminal: bool, logs_to_terminal: bool) -> Self {
        Self {
            is_terminal,
            logs_to_terminal,
        }
    }

    /// Whether a person reads standard output as it is written.
    pub const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether a person reads standard error as it is written.
    pub const fn logs_to_terminal(&self) -> bool {
        self.logs_to_terminal
    }

    /// One line of a result.
    pub fn line(&self, text: impl Display) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// A result for programs, indented.
    pub fn json(&self, value: &Value) {
        self.line(format_args!("{value:#}"));
    }

    /// A remark that is no result.
    pub fn note(&self, text: impl Display) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// An error with its causes.
    pub fn error(&self, error: &dyn std::error::Error) {
        self.note(format_args!("error: {error}"));
        let mut cause = error.source();
        while let Some(inner) = cause {
            self.note(format_args!("  because: {inner}"));
            cause = inner.source();
        }
    }
}
