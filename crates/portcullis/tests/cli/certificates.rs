//! Clients with certificates, as an operator sees them.

use std::process::{Command, Stdio};

use crate::{Folder, text};

const SUBJECT: &str = "CN=robot,O=Example";
const HEADERS: &str = "X-Client-Certificate-Verified, X-Client-Certificate-Subject";

/// Behind a front that is believed about certificates.
fn behind_a_front(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = folder.command(arguments);
    command
        .env("PORTCULLIS_SERVER_TRUSTED_PROXIES", "127.0.0.1")
        .env("PORTCULLIS_SERVER_CLIENT_CERTIFICATE_HEADERS", HEADERS);
    command
}

#[test]
fn a_client_with_a_certificate_is_made_listed_shown_and_removed_and_has_no_secret() {
    let folder = Folder::new();
    let add = ["client", "add", "Robot", "--tls-subject-dn", SUBJECT];
    let added = folder.run(&[&add[..], &["--id", "robot"]].concat());
    assert!(added.status.success(), "{added:?}");
    let shown = "client_id     robot\nsubject       CN=robot,O=Example\n";
    assert_eq!(text(&added.stdout), shown);
    assert!(text(&added.stderr).contains("Nobody looks at certificates of clients yet"));

    let json = [&add[..], &["--auth-method", "tls_client_auth", "--json"]].concat();
    let added = behind_a_front(&folder, &json).output().unwrap();
    assert_eq!(text(&added.stderr), "");
    assert!(!text(&added.stdout).contains("client_secret"), "{added:?}");

    let shown = folder.json(&["client", "show", "robot", "--json"]);
    assert_eq!(shown["token_endpoint_auth_method"], "tls_client_auth");
    assert_eq!(shown["tls_client_auth_subject_dn"], SUBJECT);
    let listed = folder.json(&["client", "list", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    folder.json(&["client", "remove", "robot", "--json"]);
    let missing = folder.run(&["client", "show", "robot"]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn method_and_subject_need_each_other() {
    let folder = Folder::new();
    for (more, mend) in [
        (
            &["--auth-method", "tls_client_auth"][..],
            "needs the subject",
        ),
        (
            &[
                "--auth-method",
                "client_secret_post",
                "--tls-subject-dn",
                SUBJECT,
            ],
            "is for tls_client_auth, not for client_secret_post",
        ),
        (
            &["--tls-subject-dn", "CN=robot, O=Example"],
            "write the subject as RFC 4514 does",
        ),
        (
            &["--public", "--tls-subject-dn", SUBJECT],
            "is for tls_client_auth, not for none",
        ),
    ] {
        let refused = folder.run(&[&["client", "add", "Robot"], more].concat());
        assert_eq!(refused.status.code(), Some(1), "{more:?}");
        let said = text(&refused.stderr);
        assert!(said.contains(mend), "{said}");
    }
}

#[test]
fn whom_the_server_believes_about_certificates_is_logged_and_nobody_stops_the_start() {
    let folder = Folder::new();
    // An address that is not one of this machine, so that the start ends by itself.
    let mut command = behind_a_front(&folder, &[]);
    command.env("PORTCULLIS_SERVER_LISTEN", "192.0.2.1:8080");
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let said = text(&output.stderr);
    let warning =
        "says in x-client-certificate-verified and x-client-certificate-subject which client";
    assert!(said.contains(warning), "{said}");

    let file = "[[authz.clients]]\nid = 'robot'\nauth_method = 'tls_client_auth'\n\
                tls_client_auth_subject_dn = 'CN=robot'\n";
    std::fs::write(folder.path().join("portcullis.toml"), file).unwrap();
    let output = folder.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("nobody looks at the certificate of robot"),
        "{said}"
    );
}
