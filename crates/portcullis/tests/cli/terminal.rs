//! What a person at a terminal sees of a start.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::Folder;

/// Starts the server at a terminal of its own, waits for the last line to paste, presses Ctrl-C, and
/// gives everything that was shown.
fn start_and_interrupt(folder: &Folder) -> String {
    let mut terminal = Command::new("script")
        .args([
            "-qec",
            concat!("exec ", env!("CARGO_BIN_EXE_portcullis")),
            "/dev/null",
        ])
        .current_dir(folder.path())
        .env_clear()
        .env("PORTCULLIS_SERVER_LISTEN", folder.listen())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut screen = BufReader::new(terminal.stdout.take().unwrap());
    let mut shown = String::new();
    while !shown.contains("MCP Inspector") {
        let read = screen.read_line(&mut shown).unwrap();
        assert_ne!(read, 0, "the server ended early: {shown}");
    }
    let mut keyboard = terminal.stdin.take().unwrap();
    keyboard.write_all(b"\x03").unwrap();
    screen.read_to_string(&mut shown).unwrap();
    assert!(terminal.wait().unwrap().success(), "{shown}");
    shown
}

#[test]
fn the_first_start_shows_the_password_once_and_the_second_says_nothing_secret() {
    let folder = Folder::new();
    let first = start_and_interrupt(&folder);
    let line = first.lines().find(|line| line.contains("  password  "));
    let password = line.unwrap().split_whitespace().last().unwrap().to_owned();
    assert!(password.len() >= 16, "{first}");
    assert_eq!(first.matches(&password).count(), 1, "{first}");
    assert!(first.contains("user name      admin"), "{first}");
    let file = folder.path().join("portcullis-data/admin-password");
    assert!(!file.exists(), "who saw the password needs no file");

    let second = start_and_interrupt(&folder);
    assert!(!second.contains("assword"), "{second}");
    assert!(!second.contains(&password), "{second}");
    let endpoint = format!("http://localhost:{}/mcp", folder.port);
    for start in [first, second] {
        for line in [
            &format!("claude mcp add --transport http portcullis {endpoint}"),
            "code --add-mcp",
            "~/.cursor/mcp.json",
            "npx @modelcontextprotocol/inspector",
        ] {
            assert!(start.contains(line), "{line} is missing: {start}");
        }
    }
}
