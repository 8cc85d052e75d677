//! The log: JSON lines or text for people, on standard error or in a file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use crate::config::{LogConfig, LogFormat};

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not a filter.
    #[error("[log] level: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The file cannot be opened for appending.
    #[error("[log] file {path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// A log was set up before.
    #[error("the log was set up twice")]
    Twice,
}

/// Sets up the log of the process; `is_terminal` tells whether standard error is one.
///
/// Nothing here can keep a secret out of the log: that is done by the secret types, which have no
/// text form, and by logging no header and no body.
pub fn start(config: &LogConfig, is_terminal: bool) -> Result<(), TelemetryError> {
    let writer = match &config.file {
        Some(path) => BoxMakeWriter::new(open(path)?),
        None => BoxMakeWriter::new(io::stderr),
    };
    let default = if is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    };
    let started = match config.format.unwrap_or(default) {
        LogFormat::Json => json_lines(&config.level, writer)?.try_init(),
        LogFormat::Text => {
            let with_colour = is_terminal && config.file.is_none();
            let lines = fmt::layer().with_ansi(with_colour).with_writer(writer);
            registry()
                .with(EnvFilter::try_new(&config.level)?)
                .with(without_calls())
                .with(lines)
                .try_init()
        }
    };
    started.map_err(|_| TelemetryError::Twice)
}

/// The log as JSON lines at this level, for whoever installs it.
pub fn json_lines<W>(
    level: &str,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer);
    Ok(registry()
        .with(EnvFilter::try_new(level)?)
        .with(without_calls())
        .with(lines))
}

/// Keeps the MCP library at `warn` whatever level is configured: it writes each call and each
/// session id at `info`, and the arguments of calls, which are the callers' own, at `debug`.
fn without_calls() -> FilterFn {
    filter_fn(|event| {
        let is_of_library = event
            .target()
            .strip_prefix("rmcp")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        !is_of_library || *event.level() <= LevelFilter::WARN
    })
}

/// Opens the log for appending; a file that we make is for its owner alone.
fn open(path: &Path) -> Result<File, TelemetryError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|cause| TelemetryError::File {
            path: path.display().to_string(),
            cause,
        })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_calls_that_the_mcp_library_logs_stay_out_whatever_the_level() {
        for level in ["trace", "info,rmcp=trace,rmcp::transport=debug"] {
            let page = Page::default();
            let writer = page.clone();
            let log = json_lines(level, move || writer.clone()).unwrap();
            tracing::subscriber::with_default(log, || {
                tracing::info!(target: "rmcp::service", "the arguments of a call");
                tracing::debug!(target: "rmcp", "the arguments of a call");
                tracing::warn!(target: "rmcp::service", "a warning");
                tracing::info!(target: "rmcpx", "somebody else");
            });
            let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
            assert!(!text.contains("arguments"), "{text}");
            assert!(text.contains("a warning"), "{text}");
            assert!(text.contains("somebody else"), "{text}");
        }
    }
}
