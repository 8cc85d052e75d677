//! `portcullis doctor --login`, with somebody who logs in.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::browser::Browser;
use crate::faults::{self, Fault};
use crate::model::{CLIENT, Habit, Model};
use crate::person::{CODE, REFRESH};
use crate::{Diagnosis, command, verdict};

/// Runs the doctor; the person opens the URL that it shows. What the browser shows in the end.
pub(crate) async fn run(mut command: Command, mut browser: Browser) -> (Diagnosis, String) {
    let here = Handle::current();
    spawn_blocking(move || {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let person = std::thread::spawn(move || {
            let (mut said, mut shown) = (String::new(), String::new());
            for line in log.lines() {
                let line = line.unwrap();
                if let Some((_, url)) = line.split_once("on this machine: ") {
                    shown = here.block_on(browser.walk(url)).1;
                }
                said.push_str(&line);
                said.push('\n');
            }
            (said, shown)
        });
        let output = child.wait_with_output().unwrap();
        let (said, shown) = person.join().unwrap();
        (Diagnosis::read(&output, true, &said), shown)
    })
    .await
    .unwrap()
}

/// Starts a model with this change, and examines it with a login.
async fn examine(change: impl FnOnce(&mut Model)) -> (Diagnosis, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut model = Model::new(&base);
    change(&mut model);
    model.serve(listener);
    let folder = TempDir::new().unwrap();
    let mut command = command(&folder, &format!("{base}/mcp"), true, None);
    command.arg("--login=30s");
    run(command, Browser::new(("ada", ""))).await
}

async fn check(fault: &Fault) -> Result<(), String> {
    let (diagnosis, _) = examine(fault.plant).await;
    verdict(fault, &diagnosis)
}

#[tokio::test]
async fn a_healthy_server_of_somebody_else_shows_everything_but_its_consent_page() {
    let (diagnosis, shown) = examine(|_| {}).await;
    assert_eq!(
        diagnosis.complaints(),
        BTreeSet::new(),
        "{}",
        diagnosis.text
    );
    assert_eq!(
        diagnosis.rules("skipped"),
        BTreeSet::from(["login-consent"])
    );
    assert_eq!(diagnosis.code, Some(0));
    assert!(shown.contains("You can close this window."), "{shown}");
}

#[tokio::test]
async fn each_fault_behind_the_login_is_found_and_nothing_else_is_complained_about() {
    let mut complaints = Vec::new();
    for fault in faults::LOGIN_FAULTS {
        complaints.extend(check(fault).await.err());
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[tokio::test]
async fn every_rule_behind_the_login_is_broken_by_a_fault() {
    let (healthy, _) = examine(|_| {}).await;
    let planted: BTreeSet<&str> = faults::all()
        .chain(faults::LOGIN_FAULTS)
        .flat_map(|fault| fault.found)
        .filter_map(|text| text.split_once(": ").map(|(_, rule)| rule))
        .collect();
    let seen = healthy.rules("ok");
    let never: Vec<_> = seen.difference(&planted).collect();
    // http on loopback is always fine, and somebody was there.
    assert_eq!(never, [&"reachable", &"tls-https"]);
}

#[tokio::test]
async fn the_same_successor_again_is_no_fault() {
    let (diagnosis, _) = examine(|model| model.learn(Habit::RefreshRepeats)).await;
    assert_eq!(
        diagnosis.complaints(),
        BTreeSet::new(),
        "{}",
        diagnosis.text
    );
}

#[tokio::test]
async fn neither_code_nor_tokens_are_printed_even_if_a_server_says_them() {
    let (diagnosis, _) = examine(|model| {
        model.person_claims["aud"] = format!("{REFRESH}0 {CODE}").into();
    })
    .await;
    assert_eq!(diagnosis.code, Some(1), "{}", diagnosis.text);
    for secret in [CODE, REFRESH, CLIENT.1, "eyJ0eXAiOiJhdCtqd3Qi"] {
        assert!(!diagnosis.text.contains(secret), "{}", diagnosis.text);
    }
}

#[tokio::test]
async fn nobody_who_logs_in_is_an_error_and_the_examination_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    Model::new(&base).serve(listener);
    let folder = TempDir::new().unwrap();
    let mut command = command(&folder, &format!("{base}/mcp"), true, None);
    command.arg("--login=1s");
    let output = spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let diagnosis = Diagnosis::read(&output, true, "");
    let expected = BTreeSet::from(["error: login-callback".to_owned()]);
    assert_eq!(diagnosis.complaints(), expected, "{}", diagnosis.text);
}
