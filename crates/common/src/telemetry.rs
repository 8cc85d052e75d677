//! The log: JSON lines or text for people, on standard error or in a file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

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
    let filter = EnvFilter::try_new(&config.level)?;
    let writer = match &config.file {
        Some(path) => BoxMakeWriter::new(open(path)?),
        None => BoxMakeWriter::new(io::stderr),
    };
    let default = if is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    };
    let with_colour = is_terminal && config.file.is_none();
    install(
        config.format.unwrap_or(default),
        filter,
        writer,
        with_colour,
    )
}

fn install<W>(
    format: LogFormat,
    filter: EnvFilter,
    writer: W,
    with_colour: bool,
) -> Result<(), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    match format {
        LogFormat::Text => builder.with_ansi(with_colour).try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
    }
    .map_err(|_| TelemetryError::Twice)
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
