//! `portcullis doctor` against servers with one fault each, as its users run it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod browser;
mod endpoints;
mod faults;
mod login;
mod model;
mod own;
mod person;
mod tls;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

use faults::Fault;
use model::{CLIENT, Model};

/// What the doctor says.
struct Diagnosis {
    code: Option<i32>,
    findings: Vec<Value>,
    /// Everything it printed.
    text: String,
}

impl Diagnosis {
    /// Reads what a doctor printed; `more` is what it said on standard error and was read before.
    fn read(output: &Output, json: bool, more: &str) -> Self {
        let text = std::str::from_utf8(&output.stdout).unwrap();
        let errors = std::str::from_utf8(&output.stderr).unwrap();
        Self {
            code: output.status.code(),
            findings: if json {
                serde_json::from_str(text).unwrap()
            } else {
                Vec::new()
            },
            text: format!("{text}{more}{errors}"),
        }
    }

    fn rules(&self, severity: &str) -> BTreeSet<&str> {
        let such = self
            .findings
            .iter()
            .filter(|finding| finding["severity"] == severity);
        such.map(|finding| finding["rule"].as_str().unwrap())
            .collect()
    }

    /// All complaints, as `error: rule` and `warning: rule`.
    fn complaints(&self) -> BTreeSet<String> {
        let mut complaints = BTreeSet::new();
        for severity in ["error", "warning"] {
            let rules = self.rules(severity);
            complaints.extend(rules.iter().map(|rule| format!("{severity}: {rule}")));
        }
        complaints
    }
}

/// The command line that examines this URL as the client that is known there.
fn command(folder: &TempDir, url: &str, json: bool, authority: Option<&str>) -> Command {
    let secret = folder.path().join("secret");
    std::fs::File::create(&secret)
        .unwrap()
        .write_all(CLIENT.1.as_bytes())
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args([
            "doctor",
            url,
            "--client-id",
            CLIENT.0,
            "--client-secret-file",
        ])
        .arg(&secret)
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null());
    if let Some(pem) = authority {
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, pem).unwrap();
        command.arg("--ca-file").arg(file);
    }
    if json {
        command.arg("--json");
    }
    command
}

async fn doctor(url: &str, json: bool, authority: Option<&str>) -> Diagnosis {
    let folder = TempDir::new().unwrap();
    let mut command = command(&folder, url, json, authority);
    let output = spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    Diagnosis::read(&output, json, "")
}

/// Starts a model with this change and examines it.
async fn examine(change: impl FnOnce(&mut Model), json: bool) -> Diagnosis {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut model = Model::new(&base);
    change(&mut model);
    model.serve(listener);
    doctor(&format!("{base}/mcp"), json, None).await
}

async fn check(fault: &Fault) -> Result<(), String> {
    verdict(fault, &examine(fault.plant, true).await)
}

/// Whether exactly this fault was found.
fn verdict(fault: &Fault, diagnosis: &Diagnosis) -> Result<(), String> {
    let expected: BTreeSet<String> = fault.found.iter().map(|text| (*text).to_owned()).collect();
    let found = diagnosis.complaints();
    let code = i32::from(fault.found.iter().any(|text| text.starts_with("error")));
    if found != expected || diagnosis.code != Some(code) {
        let name = fault.name;
        return Err(format!("{name}: expected {expected:?}, found {found:?}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_healthy_server_of_somebody_else_has_no_complaint_and_every_rule_is_seen() {
    let diagnosis = examine(|_| {}, true).await;
    assert_eq!(
        diagnosis.complaints(),
        BTreeSet::new(),
        "{}",
        diagnosis.text
    );
    assert_eq!(
        diagnosis.rules("skipped"),
        BTreeSet::new(),
        "{}",
        diagnosis.text
    );
    assert_eq!(diagnosis.code, Some(0));
    assert!(
        diagnosis.rules("ok").len() > 65,
        "{}",
        diagnosis.findings.len()
    );
}

#[tokio::test]
async fn each_planted_fault_is_found_and_nothing_else_is_complained_about() {
    let mut complaints = Vec::new();
    for fault in faults::all() {
        if let Err(complaint) = check(fault).await {
            complaints.push(complaint);
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[tokio::test]
async fn every_rule_that_a_loopback_server_can_break_is_broken_by_a_fault() {
    let healthy = examine(|_| {}, true).await;
    let planted: BTreeSet<&str> = faults::all()
        .flat_map(|fault| fault.found)
        .filter_map(|text| text.split_once(": ").map(|(_, rule)| rule))
        .collect();
    // http on loopback is always fine; nobody is found by the test below.
    let untouchable = BTreeSet::from(["reachable", "tls-https"]);
    let checked: BTreeSet<&str> = healthy
        .rules("ok")
        .difference(&untouchable)
        .copied()
        .collect();
    let never: Vec<&&str> = checked.difference(&planted).collect();
    assert!(never.is_empty(), "{never:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_one_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    drop(listener);
    let diagnosis = doctor(&url, true, None).await;
    assert_eq!(
        diagnosis.complaints(),
        BTreeSet::from(["error: reachable".to_owned()])
    );
    assert_eq!(diagnosis.code, Some(1));
}

#[tokio::test]
async fn every_client_that_was_registered_is_removed_again() {
    let mut registered = None;
    let worst = |model: &mut Model| {
        model.learn(model::Habit::WildcardsMatch);
        model.learn(model::Habit::HttpRedirectsTaken);
        model.learn(model::Habit::UnknownMembersRefused);
        registered = Some(std::sync::Arc::clone(&model.registered));
    };
    let diagnosis = examine(worst, true).await;
    assert!(
        diagnosis.rules("ok").contains("registration-cleanup"),
        "{}",
        diagnosis.text
    );
    assert!(registered.unwrap().lock().unwrap().is_empty());
}

#[tokio::test]
async fn people_read_a_line_per_check_and_how_to_mend_what_is_wrong() {
    let diagnosis = examine(|model| model.learn(model::Habit::NoChallengeNeeded), false).await;
    for expected in [
        " ok   challenge-post ",
        "ERROR pkce-required ",
        "error: pkce-required (OAuth 2.1 §4.1.2.1)",
        "  seen: on to /as/login",
        "  mend: Require PKCE of every client",
        "warnings: 0, errors: 1, not seen: 0",
    ] {
        assert!(
            diagnosis.text.contains(expected),
            "{expected}: {}",
            diagnosis.text
        );
    }
    assert_eq!(diagnosis.code, Some(1));
}

#[tokio::test]
async fn no_secret_and_no_token_is_ever_printed_even_if_a_server_says_them() {
    let chatty = |model: &mut Model| {
        let token = model.issued().to_owned();
        let said = format!("Bearer error=\"invalid_token {token} {}\"", CLIENT.1);
        model.garbage.headers.insert("www-authenticate", said);
        model.token_answer["token_type"] = token.into();
        model.claims["iss"] = CLIENT.1.into();
    };
    for json in [true, false] {
        let diagnosis = examine(chatty, json).await;
        assert_eq!(diagnosis.code, Some(1));
        assert!(!diagnosis.text.contains(CLIENT.1), "{}", diagnosis.text);
        assert!(
            !diagnosis.text.contains("registration-secret"),
            "{}",
            diagnosis.text
        );
        let header = "eyJ0eXAiOiJhdCtqd3Qi";
        assert!(!diagnosis.text.contains(header), "{}", diagnosis.text);
    }
}
