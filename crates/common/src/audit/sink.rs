//! Where the lines go.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditSink {
    /// To the end of a file.
    File(PathBuf),
    /// To standard output.
    Stdout,
    /// To standard error: for commands, whose own answer stands on standard output.
    Stderr,
}

/// The opened sink, which is opened anew when its file was moved away.
#[derive(Debug)]
pub(super) struct OpenSink {
    sink: AuditSink,
    file: File,
    /// Whether something was written that is not known to be on the disk.
    needs_sync: bool,
}

/// Whole lines on their way.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pub(super) text: String,
    /// How many bytes of it are out.
    written: usize,
    /// How many records it holds.
    pub(super) records: u64,
}

impl Backlog {
    pub(super) const fn is_empty(&self) -> bool {
        self.records == 0
    }

    fn rest(&self) -> &[u8] {
        self.text.as_bytes().get(self.written..).unwrap_or_default()
    }

    /// A line that was begun in another file is begun again in this one.
    fn begin_line_again(&mut self) {
        let before = self.text.as_bytes().get(..self.written).unwrap_or_default();
        let end = before.iter().rposition(|byte| *byte == b'\n');
        self.written = end.map_or(0, |end| end + 1);
    }

    fn clear(&mut self) {
        self.text.clear();
        (self.written, self.records) = (0, 0);
    }
}

impl OpenSink {
    pub(super) fn open(sink: AuditSink) -> io::Result<Self> {
        Ok(Self {
            file: open(&sink)?,
            sink,
            needs_sync: false,
        })
    }

    /// Writes what is not out yet, and sees that it is on the disk. After an error the same backlog is
    /// handed in again; no line is written twice into one file.
    pub(super) fn write(&mut self, backlog: &mut Backlog) -> io::Result<()> {
        if self.was_moved_away()? {
            self.file = open(&self.sink)?;
            backlog.begin_line_again();
        }
        while !backlog.rest().is_empty() {
            match self.file.write(backlog.rest()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    backlog.written += bytes;
                    self.needs_sync = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.needs_sync && self.file.metadata()?.is_file() {
            self.file.sync_data()?;
        }
        self.needs_sync = false;
        backlog.clear();
        Ok(())
    }

    /// Whether another file, or none, stands where ours was (logrotate renames it).
    fn was_moved_away(&self) -> io::Result<bool> {
        let AuditSink::File(path) = &self.sink else {
            return Ok(false);
        };
        let own = self.file.metadata()?;
        match std::fs::metadata(path) {
            Ok(there) => Ok((there.dev(), there.ino()) != (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn open(sink: &AuditSink) -> io::Result<File> {
    let owned = match sink {
        AuditSink::File(path) => return open_file(path),
        AuditSink::Stdout => io::stdout().as_fd().try_clone_to_owned()?,
        AuditSink::Stderr => io::stderr().as_fd().try_clone_to_owned()?,
    };
    Ok(File::from(owned))
}

/// Opens the file at its end. What we make is for its owner alone, whatever the umask.
fn open_file(path: &Path) -> io::Result<File> {
    let folder = path.parent();
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let about = file.metadata()?;
    // A power cut or a full disk may have left the beginning of a line.
    let mut last = [b'\n'];
    if about.is_file() && about.len() > 0 {
        file.read_exact_at(&mut last, about.len() - 1)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(file)
}
