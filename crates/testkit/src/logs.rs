//! The log of one test, written by the production log at its most talkative.

use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;
use std::sync::Once;

use portcullis_common::telemetry;
use tracing::subscriber::set_global_default;

thread_local! {
    /// What this thread logged since the capture began.
    static PAGE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Everything that is logged on this thread until it is dropped. A test on one thread sees the
/// whole server, since that runs there too.
pub struct CapturedLog(PhantomData<*const ()>);

impl CapturedLog {
    /// Captures from now on, at the level `trace`.
    ///
    /// The log is that of the process, because the interest in a line is remembered for all
    /// threads at once: a log of this thread alone would miss lines that another one met first.
    pub fn begin() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let log = telemetry::json_lines("trace", || Page).unwrap();
            set_global_default(log).unwrap();
        });
        PAGE.set(Some(Vec::new()));
        Self(PhantomData)
    }

    /// What was logged so far; each line is one JSON object.
    pub fn text(&self) -> String {
        let bytes = PAGE.with_borrow(|page| page.clone().unwrap_or_default());
        let text = String::from_utf8(bytes).unwrap();
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line)
                .unwrap_or_else(|error| panic!("{error}: {line}"));
        }
        text
    }
}

impl Drop for CapturedLog {
    fn drop(&mut self) {
        PAGE.set(None);
    }
}

struct Page;

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        PAGE.with_borrow_mut(|page| {
            if let Some(page) = page {
                page.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
