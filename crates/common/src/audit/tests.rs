use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::clock::{Clock, SharedClock, Timestamp};
use crate::metrics::{Exposition, SharedMetrics};

/// A clock that stands still.
#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }
}

/// A folder of its own that goes away with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("audit-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }

    fn trail(&self, queue: usize) -> (AuditTrail, SharedMetrics) {
        let options = AuditOptions {
            sink: AuditSink::File(self.file()),
            queue,
            role: "serve",
            issuer: Some("https://issuer.example".to_owned()),
        };
        let (clock, metrics): (SharedClock, _) = (Arc::new(Noon), SharedMetrics::default());
        let trail = AuditTrail::start(Some(options), clock, Arc::clone(&metrics)).unwrap();
        (trail, metrics)
    }

    /// From now on nothing can be written.
    fn fill_disk(&self) {
        let full = self.0.join("full");
        symlink("/dev/full", &full).unwrap();
        fs::rename(full, self.file()).unwrap();
    }

    fn empty_disk(&self) {
        fs::remove_file(self.file()).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let read = |line| serde_json::from_str(line).unwrap();
    text.lines().map(read).collect()
}

fn call(trail: &AuditTrail, target: &str) {
    let mut draft = trail.draft(Event::ToolCall);
    draft.target(target).succeed();
}

#[test]
fn a_draft_is_one_record_and_unfinished_unless_somebody_says_how_it_ended() {
    let place = Place::new("drafts");
    let (trail, _) = place.trail(100);
    call(&trail, "echo");
    drop(trail.draft(Event::Token));
    trail.draft(Event::Login).discard();
    let mut draft = trail.draft(Event::Consent).by(Actor::Subject);
    draft.subject("abc").client("app").grant("g").succeed();
    draft.beside(Event::CodeIssued).by(Actor::Client).succeed();
    drop(draft);
    trail.flush().unwrap();
    let lines = lines(&place.file());
    let said: Vec<_> = lines
        .iter()
        .map(|line| {
            let member = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            ["event", "result", "reason", "actor", "grant"]
                .map(member)
                .join(" ")
        })
        .collect();
    assert_eq!(
        said,
        [
            "tool_call ok - nobody -",
            "token failed unfinished nobody -",
            "code_issued ok - client:app g",
            "consent ok - user:abc g",
        ]
    );
    assert_eq!(
        fs::read_to_string(place.file()).unwrap().lines().next(),
        Some(
            "{\"time\":\"2027-01-15T08:00:00.000Z\",\"event\":\"tool_call\",\"result\":\"ok\",\
             \"actor\":\"nobody\",\"issuer\":\"https://issuer.example\",\"target\":\"echo\",\
             \"role\":\"serve\"}"
        )
    );
}

#[test]
fn without_a_trail_nothing_is_written_and_nothing_is_refused() {
    let trail = AuditTrail::off();
    call(&trail, "echo");
    assert_eq!(trail.check(), Ok(()));
    assert_eq!(trail.flush(), Ok(()));
    assert_eq!(trail.close(), Ok(()));
}

#[test]
fn the_file_is_for_its_owner_and_is_never_cut() {
    let place = Place::new("mode");
    fs::write(place.file(), "{\"event\":\"old\"}\n{\"torn").unwrap();
    let (trail, _) = place.trail(100);
    call(&trail, "echo");
    trail.close().unwrap();
    let text = fs::read_to_string(place.file()).unwrap();
    assert!(
        text.starts_with("{\"event\":\"old\"}\n{\"torn\n{\"time\""),
        "{text}"
    );
    fs::remove_file(place.file()).unwrap();
    let (trail, _) = place.trail(100);
    trail.close().unwrap();
    assert_eq!(fs::metadata(place.file()).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_is_renamed_away_loses_nothing_and_a_new_one_is_begun() {
    let place = Place::new("rotation");
    let (trail, _) = place.trail(10_000);
    let mut expected = Vec::new();
    for round in 0..20 {
        for number in 0..50 {
            let name = format!("{round}.{number}");
            call(&trail, &name);
            expected.push(name);
        }
        if round % 2 == 0 {
            trail.flush().unwrap();
        }
        let old = place.0.join(format!("audit.jsonl.{round:02}"));
        if place.file().exists() {
            fs::rename(place.file(), old).unwrap();
        }
    }
    trail.close().unwrap();
    let mut files: Vec<_> = fs::read_dir(&place.0)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    let found = files.iter().flat_map(|file| lines(file));
    let mut found: Vec<_> = found
        .map(|line| line["target"].as_str().unwrap().to_owned())
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_cannot_be_written_waits_and_is_written_when_it_can() {
    let place = Place::new("full");
    let (trail, metrics) = place.trail(100);
    place.fill_disk();
    assert_eq!(trail.check(), Ok(()));
    call(&trail, "first");
    assert_eq!(trail.flush(), Err(AuditUnavailable));
    assert_eq!(trail.check(), Err(AuditUnavailable));
    call(&trail, "second");
    assert_eq!(trail.flush(), Err(AuditUnavailable));
    place.empty_disk();
    trail.flush().unwrap();
    assert_eq!(trail.check(), Ok(()));
    let targets: Vec<_> = lines(&place.file())
        .iter()
        .map(|line| line["target"].clone())
        .collect();
    assert_eq!(targets, ["first", "second"]);
    let text = metrics.encode(Exposition::OpenMetrics);
    assert!(
        text.contains("portcullis_audit_records_total{outcome=\"written\"} 2"),
        "{text}"
    );
    assert!(
        !text.contains("portcullis_audit_write_failures_total 0"),
        "{text}"
    );
}

#[test]
fn a_full_queue_refuses_what_must_be_recorded_and_says_how_much_was_lost() {
    let place = Place::new("queue");
    let (trail, metrics) = place.trail(4);
    place.fill_disk();
    call(&trail, "stuck");
    assert_eq!(trail.flush(), Err(AuditUnavailable));
    for name in ["1", "2", "3", "4", "lost", "lost", "lost"] {
        call(&trail, name);
    }
    assert_eq!(trail.check(), Err(AuditUnavailable));
    place.empty_disk();
    trail.flush().unwrap();
    assert_eq!(trail.check(), Ok(()));
    let lines = lines(&place.file());
    let targets: Vec<_> = lines
        .iter()
        .map(|line| line["target"].as_str().unwrap_or("-"))
        .collect();
    assert_eq!(targets, ["stuck", "1", "2", "3", "4", "-"]);
    assert_eq!(lines[5]["event"], "records_lost");
    assert_eq!(lines[5]["lost"], 3);
    let text = metrics.encode(Exposition::OpenMetrics);
    assert!(
        text.contains("portcullis_audit_records_total{outcome=\"lost\"} 3"),
        "{text}"
    );
}

#[test]
fn a_sink_that_cannot_be_opened_is_said_with_its_place() {
    let place = Place::new("start");
    fs::write(place.0.join("plain"), "").unwrap();
    let options = AuditOptions {
        sink: AuditSink::File(place.0.join("plain/audit.jsonl")),
        queue: 1,
        role: "serve",
        issuer: None,
    };
    let error = AuditTrail::start(Some(options), Arc::new(Noon), SharedMetrics::default());
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("[audit] file"), "{error}");
    assert!(
        error.contains("plain/audit.jsonl cannot be opened"),
        "{error}"
    );
}

#[test]
fn a_long_text_is_cut_before_it_is_kept() {
    let place = Place::new("long");
    let (trail, _) = place.trail(100);
    call(&trail, &"ä".repeat(100_000));
    trail.flush().unwrap();
    let text = lines(&place.file())[0]["target"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(text, "ä".repeat(256) + "…");
}

#[test]
fn the_page_about_the_trail_names_every_event() {
    let page = include_str!("../../../../docs/audit.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let named: Vec<_> = rows.filter_map(|row| row.split(" | ").next()).collect();
    for event in Event::ALL {
        let name = format!("`{}`", event.name());
        assert!(named.iter().any(|cell| cell.contains(&name)), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_gives_one_line_that_says_it(text in "\\PC{0,40}|[\\x00-\\xff\u{2028}\u{2029}\u{202e}\"\\\\]{0,40}") {
        let place = Place::new("any");
        let (trail, _) = place.trail(100);
        let mut draft = trail.draft(Event::Login).by(Actor::Subject);
        draft.subject(&text).client(&text).username(&text).target(&text).refuse("wrong");
        drop(draft);
        trail.close().unwrap();
        let raw = fs::read(place.file()).unwrap();
        prop_assert!(raw.iter().all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte)));
        let lines = lines(&place.file());
        prop_assert_eq!(lines.len(), 1);
        prop_assert_eq!(lines[0]["target"].as_str(), Some(text.as_str()));
        let actor = format!("user:{text}");
        prop_assert_eq!(lines[0]["actor"].as_str(), Some(actor.as_str()));
    }
}
