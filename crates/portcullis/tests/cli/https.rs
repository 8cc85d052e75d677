//! Native HTTPS, as an operator sees it.

use std::io::BufRead as _;
use std::process::{Command, Stdio};

use portcullis_testkit::website::{Identity, TestAuthority};

use crate::{Folder, text};

/// Certificate and key of a public name, of an authority that nobody here knows.
fn certify() -> Identity {
    TestAuthority::new("of somebody").certify(&["mcp.example"])
}

fn write(folder: &Folder, identity: &Identity) {
    std::fs::write(folder.path().join("tls.crt"), identity.certificate_pem()).unwrap();
    std::fs::write(folder.path().join("tls.key"), identity.key_pem()).unwrap();
}

fn command(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = folder.command(arguments);
    command
        .env("PORTCULLIS_SERVER_PUBLIC_URL", "https://mcp.example")
        .env("PORTCULLIS_SERVER_TLS_CERT", "tls.crt")
        .env("PORTCULLIS_SERVER_TLS_KEY", "tls.key");
    command
}

fn is_healthy(folder: &Folder) -> bool {
    let output = command(folder, &["health"]).output().unwrap();
    output.status.success() && text(&output.stdout) == "ready\n"
}

#[test]
fn health_asks_over_https_whatever_name_the_certificate_has_and_a_hangup_brings_a_new_one() {
    let folder = Folder::new();
    write(&folder, &certify());
    let mut server = Folder::serve_as(&mut command(&folder, &[]));
    // The server becomes ready within a moment; the test ends at its limit if it does not.
    while !is_healthy(&folder) {}

    write(&folder, &certify());
    let id = server.process.id().to_string();
    let hangup = Command::new("kill").args(["-HUP", &id]).status();
    assert!(hangup.unwrap().success());
    let mut line = String::new();
    while !line.contains("a new certificate is in use") {
        line.clear();
        assert_ne!(server.log.read_line(&mut line).unwrap(), 0, "it ended");
    }
    assert!(is_healthy(&folder));
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
}

#[test]
fn a_key_of_another_certificate_stops_the_start_and_one_that_others_can_read_is_a_warning() {
    let folder = Folder::new();
    write(&folder, &certify());
    std::fs::write(folder.path().join("tls.key"), certify().key_pem()).unwrap();
    let output = command(&folder, &[])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("tls.key is not the key of the first certificate in tls.crt"),
        "{said}"
    );
    assert!(said.contains("tls.key has mode 644"), "{said}");
}
