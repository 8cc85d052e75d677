//! The binary as its users run it: a process with arguments, an environment and a folder.
#![expect(clippy::unwrap_used, reason = "test code")]

mod audit;
mod backup;
mod certificates;
mod https;
mod terminal;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder in which the product runs.
struct Folder {
    folder: TempDir,
    port: u16,
}

/// A server that is ended when the test ends.
struct Server {
    process: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Folder {
    fn new() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Self {
            folder: tempfile::tempdir().unwrap(),
            port,
        }
    }

    fn listen(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PORTCULLIS_SERVER_LISTEN", self.listen())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts the server and returns when it listens.
    fn serve(&self) -> Server {
        Self::serve_as(&mut self.command(&[]))
    }

    /// Like [`Self::serve`], with this command.
    fn serve_as(command: &mut Command) -> Server {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("\"listening\"") {
            line.clear();
            assert_ne!(
                log.read_line(&mut line).unwrap(),
                0,
                "the server ended before it listened"
            );
        }
        Server { process, log }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost:{}\r\nconnection: close\r\n\r\n",
            self.port
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Server {
    /// Asks it to stop; gives its exit code and the rest of its log.
    fn stop(mut self) -> (Option<i32>, String) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap().code(), rest)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_command_explains_itself_and_wrong_usage_is_exit_code_2() {
    let folder = Folder::new();
    for command in [
        "",
        "serve",
        "authz",
        "resource",
        "migrate",
        "backup",
        "restore",
        "copy",
        "health",
        "client",
        "client add",
        "client list",
        "client show",
        "client remove",
        "client invite",
        "user",
        "user add",
        "user list",
        "user remove",
        "user disable",
        "user enable",
        "user password",
        "user role",
        "key",
        "key list",
        "key rotate",
        "token",
        "doctor",
        "config",
        "config check",
        "config show",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let output = folder.run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(text(&output.stdout).contains("Usage:"), "{command}");
    }
    for wrong in [
        &["nonsense"][..],
        &["client", "add"],
        &["client", "invite", "--uses", "0"],
        &["client", "invite", "--ttl", "1"],
        &["key", "rotate", "--nonsense"],
        &["doctor", "mcp.example"],
        &["doctor", "ftp://mcp.example/mcp"],
        &[
            "doctor",
            "http://localhost/mcp",
            "--client-secret-file",
            "x",
        ],
    ] {
        assert_eq!(folder.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn every_mistake_of_the_configuration_stops_the_start_at_once_with_exit_code_1() {
    let folder = Folder::new();
    let file = "[server]\nlisten_on = 'x'\n[authz]\ncode_ttl = '1'\n";
    std::fs::write(folder.path().join("portcullis.toml"), file).unwrap();
    for arguments in [&["serve"][..], &["config", "check"], &["client", "list"]] {
        let output = folder.run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            errors.contains("[server] listen_on in portcullis.toml"),
            "{errors}"
        );
        assert!(
            errors.contains("[authz] code_ttl in portcullis.toml"),
            "{errors}"
        );
    }
    assert!(
        !folder.path().join("portcullis-data").exists(),
        "nothing was made"
    );
    let output = folder.run(&["--config", "missing.toml", "config", "check"]);
    assert!(text(&output.stderr).contains("missing.toml"));
}

#[test]
fn config_show_tells_where_a_value_comes_from_and_never_a_secret() {
    let folder = Folder::new();
    let output = folder
        .command(&["config", "show"])
        .env("PORTCULLIS_STORE_URL", "postgres://u:hunter2@localhost/db")
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert!(shown.contains("[server] listen = 127.0.0.1:"), "{shown}");
    assert!(shown.contains("# PORTCULLIS_SERVER_LISTEN"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn clients_are_made_listed_shown_and_removed_without_a_server() {
    let folder = Folder::new();
    let added = folder.json(&[
        "client", "add", "Agent", "--id", "agent", "--scope", "mcp:read", "--json",
    ]);
    assert_eq!(added["client_id"], "agent");
    assert_eq!(added["grant_types"][0], "client_credentials");
    let secret = added["client_secret"].as_str().unwrap();
    assert!(secret.len() >= 43);
    let listed = folder.run(&["client", "list", "--json"]);
    assert!(
        !text(&listed.stdout).contains(secret),
        "the secret is shown once"
    );
    assert_eq!(
        folder.json(&["client", "show", "agent", "--json"])["client_name"],
        "Agent"
    );
    let again = folder.run(&["client", "add", "Other", "--id", "agent"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("there is a client agent already"));
    folder.json(&["client", "remove", "agent", "--json"]);
    let missing = folder.run(&["client", "show", "agent"]);
    assert_eq!(missing.status.code(), Some(1));
    let refused = folder.run(&["client", "add", "X", "--auth-method", "private_key_jwt"]);
    assert!(text(&refused.stderr).contains("private_key_jwt is not built yet"));
}

#[test]
fn an_invitation_made_beside_a_running_server_lets_a_client_register_and_be_listed() {
    let folder = Folder::new();
    let server = folder.serve();
    let made = folder.json(&["client", "invite", "--json"]);
    assert_eq!(made["uses"], 10);
    let token = made["initial_access_token"].as_str().unwrap();
    let plain = folder.run(&["client", "invite", "--uses", "1", "--ttl", "5m"]);
    assert_eq!(
        text(&plain.stdout).trim().len(),
        43,
        "256 bits as base64url"
    );
    let body = r#"{"client_name":"Job","grant_types":["client_credentials"]}"#;
    let mut stream = TcpStream::connect(("127.0.0.1", folder.port)).unwrap();
    let request = format!(
        "POST /register HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        folder.port,
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let listed = folder.json(&["client", "list", "--json"]);
    let client = &listed.as_array().unwrap()[0];
    assert_eq!(client["client_name"], "Job");
    assert_eq!(client["self_registered"], true);
    let id = client["client_id"].as_str().unwrap();
    let lines = folder.run(&["client", "list"]);
    assert!(text(&lines.stdout).contains("(registered itself)"));
    folder.json(&["client", "remove", id, "--json"]);
    let (_, log) = server.stop();
    assert!(!log.contains(token), "{log}");
}

#[test]
fn the_registration_script_keeps_a_client_that_works_and_makes_no_second_one() {
    let folder = Folder::new();
    let server = folder.serve();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let url = format!("http://localhost:{}", folder.port);
    let binary = Path::new(env!("CARGO_BIN_EXE_portcullis"));
    let path = format!(
        "{}:/usr/local/bin:/usr/bin:/bin",
        binary.parent().unwrap().display()
    );
    let file = folder.path().join("client.env");
    std::fs::write(&file, "OTHER=kept\nCLIENT_ID=gone\nCLIENT_SECRET=gone\n").unwrap();
    let script = |name: &str, arguments: &[&str]| -> String {
        let output = Command::new(format!("{root}/{name}"))
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", &path)
            .env("HOME", folder.path())
            .env("PORTCULLIS_URL", &url)
            .env(
                "PORTCULLIS_SERVER_LISTEN",
                format!("127.0.0.1:{}", folder.port),
            )
            .env("ENV_FILE", &file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        text(&output.stdout)
    };
    let arguments = ["--auto-update", "--env-file", file.to_str().unwrap()];
    let first = script("scripts/setup_dcr.sh", &arguments);
    assert!(first.contains("is registered"), "{first}");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(
        kept.starts_with("OTHER=kept\n") && !kept.contains("gone"),
        "{kept}"
    );
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let token = script("examples/curl-client/get_token.sh", &["--no-save"]);
    assert_eq!(token.trim().split('.').count(), 3, "{token}");

    let second = script("scripts/setup_dcr.sh", &arguments);
    assert!(second.contains("still works"), "{second}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), kept);
    let clients = folder.json(&["client", "list", "--json"]);
    assert_eq!(clients.as_array().unwrap().len(), 1);
    let printed = script(
        "scripts/setup_dcr.sh",
        &["--scopes", "mcp:read", "--issuer", &url],
    );
    assert!(
        printed.contains("\nSCOPE=mcp:read\nCLIENT_ID="),
        "{printed}"
    );
    server.stop();
}

#[test]
fn a_server_starts_with_nothing_keeps_its_files_private_and_stops_in_order() {
    let folder = Folder::new();
    let server = folder.serve();
    assert!(folder.get("/livez").starts_with("HTTP/1.1 200"));
    assert!(folder.get("/mcp").starts_with("HTTP/1.1 401"));
    let data = folder.path().join("portcullis-data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in std::fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let health = folder.run(&["health"]);
    assert_eq!(health.status.code(), Some(0), "{health:?}");
    let (code, log) = server.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains("\"stopped\""), "{log}");
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    }
    assert_eq!(folder.run(&["health"]).status.code(), Some(1));
}

#[test]
fn keys_outlive_the_server_and_a_rotation_keeps_the_old_one() {
    let folder = Folder::new();
    folder.serve().stop();
    let kids = |keys: &Value, state: &str| -> Vec<String> {
        let keys = keys
            .as_array()
            .unwrap()
            .iter()
            .filter(|key| key["state"] == state);
        keys.map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    };
    let before = folder.json(&["key", "list", "--json"]);
    let after = folder.json(&["key", "rotate", "--json"]);
    assert_eq!(kids(&after, "active"), kids(&before, "next"));
    assert_eq!(kids(&after, "retired"), kids(&before, "active"));
    let server = folder.serve();
    let published = folder.get("/jwks");
    for kid in kids(&after, "active")
        .iter()
        .chain(&kids(&after, "retired"))
    {
        assert!(published.contains(kid.as_str()), "{published}");
    }
    server.stop();
}

#[test]
fn a_second_server_on_the_same_address_ends_with_the_reason() {
    let folder = Folder::new();
    let _server = folder.serve();
    let second = folder.run(&["serve"]);
    assert_eq!(second.status.code(), Some(1));
    let errors = text(&second.stderr);
    assert!(errors.contains("cannot be bound"), "{errors}");
}

#[test]
fn the_first_start_keeps_the_password_of_admin_in_a_private_file_and_the_second_says_nothing() {
    let folder = Folder::new();
    let (_, log) = folder.serve().stop();
    let file = folder.path().join("portcullis-data/admin-password");
    let password = std::fs::read_to_string(&file).unwrap();
    assert!(password.trim().len() >= 20);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(!log.contains(password.trim()));
    std::fs::remove_file(&file).unwrap();
    let (_, log) = folder.serve().stop();
    assert!(!file.exists() && !log.contains("password"), "{log}");
}

#[test]
fn people_are_added_changed_listed_and_removed_without_a_server() {
    let folder = Folder::new();
    let with_password = |arguments: &[&str], password: &str| {
        let mut process = folder
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        process
            .stdin
            .take()
            .unwrap()
            .write_all(password.as_bytes())
            .unwrap();
        process.wait_with_output().unwrap()
    };
    let add = [
        "user",
        "add",
        "Alice",
        "--email",
        "a@example.com",
        "--password-stdin",
        "--json",
    ];
    let added = with_password(&add, "correct horse battery\n");
    assert!(added.status.success(), "{added:?}");
    assert_eq!(
        with_password(&add, "correct horse battery\n").status.code(),
        Some(1)
    );
    folder.json(&["user", "role", "alice", "admin", "--json"]);
    folder.json(&["user", "disable", "alice", "--json"]);
    let listed = text(&folder.run(&["user", "list", "--json"]).stdout);
    assert!(
        listed.contains("alice") && listed.contains("admin"),
        "{listed}"
    );
    assert!(!listed.contains("argon2"), "{listed}");
    let changed = with_password(
        &["user", "password", "alice", "--password-stdin"],
        "another one\n",
    );
    assert!(changed.status.success(), "{changed:?}");
    folder.json(&["user", "remove", "alice", "--json"]);
    assert_eq!(
        folder.run(&["user", "remove", "alice"]).status.code(),
        Some(1)
    );
}
