//! The doctor at home: the product as `portcullis serve` runs it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::browser::Browser;
use crate::login;

/// A folder in which the product runs until the test ends.
struct Home {
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

const REDIRECT_URI: &str = "http://127.0.0.1/callback";

impl Home {
    fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            folder: TempDir::new().unwrap(),
            port: free.local_addr().unwrap().port(),
            server: None,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env(
                "PORTCULLIS_SERVER_LISTEN",
                format!("127.0.0.1:{}", self.port),
            )
            .env(
                "PORTCULLIS_SERVER_PUBLIC_URL",
                format!("http://127.0.0.1:{}", self.port),
            )
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Makes a client; its id, and a file with its secret.
    fn client(&self) -> String {
        let made = self.run(&[
            "client",
            "add",
            "agent",
            "--json",
            "--grant",
            "client_credentials",
            "--grant",
            "authorization_code",
            "--grant",
            "refresh_token",
            "--redirect-uri",
            REDIRECT_URI,
        ]);
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let secret = made["client_secret"].as_str().unwrap();
        std::fs::write(self.folder.path().join("secret"), secret).unwrap();
        made["client_id"].as_str().unwrap().to_owned()
    }

    /// Makes an account.
    fn person(&self, name: &str, password: &str) {
        let mut made = self
            .command(&["user", "add", name, "--password-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = made.stdin.take().unwrap();
        input.write_all(password.as_bytes()).unwrap();
        drop(input);
        assert!(made.wait().unwrap().success());
    }

    /// Starts the server and returns when it listens.
    fn serve(&mut self) {
        let mut server = self
            .command(&["serve"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap());
        self.server = Some(server);
        let mut line = String::new();
        while !line.contains("\"listening\"") {
            line.clear();
            assert_ne!(
                log.read_line(&mut line).unwrap(),
                0,
                "it ended before it listened"
            );
        }
        // Whoever does not read the log stops the server one day.
        std::thread::spawn(move || log.lines().count());
    }

    fn doctor(&self, arguments: &[&str]) -> Vec<Value> {
        let mut all = vec!["doctor", "--json"];
        all.extend(arguments);
        let output = self.run(&all);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn rules<'a>(findings: &'a [Value], severity: &str) -> Vec<&'a str> {
    let such = findings
        .iter()
        .filter(|finding| finding["severity"] == severity);
    such.map(|finding| finding["rule"].as_str().unwrap())
        .collect()
}

#[test]
fn our_own_server_is_in_perfect_health_and_needs_no_url_to_be_found() {
    let mut home = Home::new();
    let id = home.client();
    home.serve();
    let none: [&str; 0] = [];

    let findings = home.doctor(&[]);
    assert_eq!(rules(&findings, "warning"), none);
    assert_eq!(rules(&findings, "error"), none);
    // A stranger's mistakes are told to people on a page, and tokens are for clients.
    let unseen = ["authorize-iss", "authorize-state", "token-request"];
    assert_eq!(rules(&findings, "skipped"), unseen);

    let findings = home.doctor(&[
        "--client-id",
        &id,
        "--client-secret-file",
        "secret",
        "--redirect-uri",
        REDIRECT_URI,
    ]);
    for severity in ["warning", "error", "skipped"] {
        assert_eq!(rules(&findings, severity), none, "{severity}");
    }
}

#[tokio::test]
async fn our_own_server_is_in_perfect_health_behind_the_login_too() {
    const PERSON: (&str, &str) = ("ada", "correct horse battery staple");
    let mut home = Home::new();
    let id = home.client();
    home.person(PERSON.0, PERSON.1);
    home.serve();
    let known = ["--client-id", &id, "--client-secret-file", "secret"];
    for client in [
        &[&known[..], &["--redirect-uri", REDIRECT_URI]].concat()[..],
        // Without a redirect URI it is the client that registered itself.
        &known[..],
    ] {
        let mut command = home.command(&["doctor", "--json", "--login=60s"]);
        command.args(client);
        let (diagnosis, shown) = login::run(command, Browser::new(PERSON)).await;
        assert_eq!(diagnosis.code, Some(0), "{}", diagnosis.text);
        assert_eq!(diagnosis.complaints().len(), 0, "{}", diagnosis.text);
        assert!(
            diagnosis.rules("ok").contains("refresh-replay"),
            "{}",
            diagnosis.text
        );
        assert!(shown.contains("You can close this window."), "{shown}");
    }
}

#[test]
fn nothing_is_registered_where_the_operator_says_so() {
    let mut home = Home::new();
    home.serve();
    let findings = home.doctor(&["--no-register"]);
    assert!(rules(&findings, "skipped").contains(&"pkce-required"));
    let clients = home.run(&["client", "list", "--json"]);
    let clients: Value = serde_json::from_slice(&clients.stdout).unwrap();
    assert_eq!(clients, serde_json::json!([]));
}

#[test]
fn a_broken_configuration_matters_only_where_it_is_needed() {
    let mut home = Home::new();
    home.serve();
    let url = format!("http://127.0.0.1:{}/mcp", home.port);
    std::fs::write(home.folder.path().join("portcullis.toml"), "[nonsense]").unwrap();
    home.doctor(&[&url]);
    for needed in [
        &["doctor"][..],
        &["doctor", &url, "--config", "portcullis.toml"],
    ] {
        let output = home.run(needed);
        assert_eq!(output.status.code(), Some(1), "{needed:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("nonsense"), "{errors}");
    }
}
