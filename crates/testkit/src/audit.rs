//! The audit trail of a test, in a file that can be made unwritable.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use portcullis_common::audit::{AuditSink, AuditTrail};
use portcullis_common::config::Config;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with the file of an audit trail.
#[derive(Debug)]
pub struct AuditFile(TempDir);

impl AuditFile {
    /// A file that is not there yet.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("audit.jsonl")
    }

    /// The same configuration with the trail in this file.
    #[must_use]
    pub fn turned_on(&self, mut config: Config) -> Config {
        config.audit_sink = Some(AuditSink::File(self.path()));
        config
    }

    /// What was recorded so far; each line must be one object.
    pub fn records(&self, trail: &AuditTrail) -> Vec<Value> {
        trail.flush().unwrap();
        self.read()
    }

    /// What stands in the file.
    pub fn read(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        text.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// From now on there is no room on the disk; what is in the file goes away.
    pub fn fill_disk(&self) {
        let full = self.0.path().join("full");
        symlink("/dev/full", &full).unwrap();
        fs::rename(full, self.path()).unwrap();
    }

    /// There is room again.
    pub fn make_room(&self) {
        fs::remove_file(self.path()).unwrap();
    }
}

/// The members of a record with these names, in one text; what is not there is `-`.
pub fn brief(record: &Value, names: &[&str]) -> String {
    let member = |name: &&str| record[*name].as_str().unwrap_or("-").to_owned();
    names.iter().map(member).collect::<Vec<_>>().join(" ")
}
