//! The audit trail of commands, of starts and of stops.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::{Folder, text};

const PASSWORD: &str = "correct horse battery staple";

fn file(folder: &Folder) -> PathBuf {
    folder.path().join("trail/audit.jsonl")
}

/// Configures the trail, at this place.
fn turn_on(folder: &Folder, place: &str) {
    let text = format!("[audit]\nfile = {place:?}\n");
    fs::write(folder.path().join("portcullis.toml"), text).unwrap();
}

/// Runs a command with a password on its standard input.
fn run(folder: &Folder, command: &str) -> Output {
    let arguments: Vec<_> = command.split(' ').collect();
    let mut process = folder.command(&arguments);
    process.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = process.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // A command that takes no password may have ended.
    drop(stdin.write_all(PASSWORD.as_bytes()));
    drop(stdin);
    process.wait_with_output().unwrap()
}

fn records(text: &str) -> Vec<Value> {
    let read = |line| serde_json::from_str(line).unwrap();
    text.lines().map(read).collect()
}

fn brief(record: &Value) -> String {
    let names = ["event", "result", "role", "username", "target"];
    let member = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
    names.map(member).join(" ")
}

#[test]
fn every_command_that_changes_something_is_one_record_of_its_operator() {
    let folder = Folder::new();
    turn_on(&folder, "trail/audit.jsonl");
    for command in [
        "user add ann --password-stdin",
        "user role ann admin",
        "user password ann --password-stdin",
        "user disable ann",
        "user enable ann",
        "user list",
        "user remove ann",
        "client add App --id app --public --redirect-uri https://app.example/cb",
        "client list",
        "client remove app",
        "client invite --uses 3",
        "key list",
    ] {
        let output = run(&folder, command);
        assert!(output.status.success(), "{command}: {output:?}");
    }
    let rotated = folder.json(&["key", "rotate", "--json"]);
    assert!(!run(&folder, "user remove nobody").status.success());
    let text = fs::read_to_string(file(&folder)).unwrap();
    let records = records(&text);
    let said: Vec<_> = records.iter().map(brief).collect();
    assert_eq!(
        said,
        [
            "user_added ok command ann user",
            "user_role_set ok command ann admin",
            "user_password_set ok command ann -",
            "user_disabled ok command ann -",
            "user_enabled ok command ann -",
            "user_removed ok command ann -",
            "client_added ok command - app",
            "client_removed ok command - app",
            "client_invited ok command - -",
            &format!(
                "key_rotated ok command - {}",
                rotated[0]["kid"].as_str().unwrap()
            ),
            "user_removed failed command - -",
        ]
    );
    let is_operator = |record: &Value| {
        let actor = record["actor"].as_str().unwrap();
        actor
            .strip_prefix("operator:")
            .is_some_and(|uid| uid.parse::<u32>().is_ok())
    };
    assert!(records.iter().all(is_operator), "{text}");
    assert!(!text.contains(PASSWORD), "{text}");
}

#[test]
fn where_the_trail_cannot_be_opened_nothing_starts_and_nothing_changes() {
    let folder = Folder::new();
    assert!(
        run(&folder, "user add ann --password-stdin")
            .status
            .success()
    );
    fs::write(folder.path().join("plain"), "").unwrap();
    turn_on(&folder, "plain/audit.jsonl");
    for command in [
        "serve",
        "authz",
        "resource",
        "user add bob --password-stdin",
        "user remove ann",
        "client add App --id app",
        "client invite",
        "key rotate",
    ] {
        let output = run(&folder, command);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let errors = text(&output.stderr);
        assert!(
            errors.contains("[audit] file plain/audit.jsonl cannot be opened"),
            "{errors}"
        );
    }
    let users = folder.json(&["user", "list", "--json"]);
    assert_eq!(users.as_array().unwrap().len(), 1, "{users}");
    assert_eq!(users[0]["username"], "ann");
    assert_eq!(
        folder.json(&["client", "list", "--json"]),
        serde_json::json!([])
    );
    assert_eq!(
        folder.json(&["key", "list", "--json"]),
        serde_json::json!([])
    );
}

#[test]
fn start_and_stop_are_recorded_and_a_hangup_follows_a_rotation() {
    let folder = Folder::new();
    turn_on(&folder, "trail/audit.jsonl");
    let server = folder.serve();
    // It answers, so that it has begun.
    assert!(folder.get("/livez").contains("200"));
    let old = folder.path().join("trail/audit.jsonl.1");
    fs::rename(file(&folder), &old).unwrap();
    let id = server.process.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &id])
            .status()
            .unwrap()
            .success()
    );
    while !file(&folder).exists() {
        std::thread::yield_now();
    }
    let (code, log) = server.stop();
    assert_eq!(code, Some(0), "{log}");
    let both = fs::read_to_string(&old).unwrap() + &fs::read_to_string(file(&folder)).unwrap();
    let records = records(&both);
    let said: Vec<_> = records.iter().map(brief).collect();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        said,
        [
            "user_added ok serve admin admin",
            &format!("server_started ok serve - {version}"),
            &format!("server_stopped ok serve - {version}"),
        ]
    );
    assert!(
        records.iter().all(|record| record["actor"] == "server"),
        "{both}"
    );
}

#[test]
fn a_command_keeps_its_standard_output_for_its_answer() {
    let folder = Folder::new();
    turn_on(&folder, "stdout");
    let output = run(&folder, "client add App --id app --json");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["client_id"], "app");
    let records = records(&text(&output.stderr));
    assert_eq!(records.len(), 1);
    assert_eq!(brief(&records[0]), "client_added ok command - app");
    let secret = answer["client_secret"].as_str().unwrap();
    assert!(!text(&output.stderr).contains(secret));
}
