//! The log of one test, written by the production log at its most talkative.

use std::io;
use std::sync::{Arc, Mutex};

use portcullis_common::telemetry;
use tracing::subscriber::DefaultGuard;

/// Everything that is logged on this thread until it is dropped.
pub struct CapturedLog {
    page: Page,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    /// Captures from now on, at the level `trace`.
    pub fn begin() -> Self {
        let page = Page::default();
        let writer = page.clone();
        let log = telemetry::json_lines("trace", move || writer.clone()).unwrap();
        Self {
            page,
            _guard: tracing::subscriber::set_default(log),
        }
    }

    /// What was logged so far; each line is one JSON object.
    pub fn text(&self) -> String {
        let text = String::from_utf8(self.page.0.lock().unwrap().clone()).unwrap();
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line)
                .unwrap_or_else(|error| panic!("{error}: {line}"));
        }
        text
    }
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
