//! Backups, restores and copies as an operator makes them.

use serde_json::json;

use crate::{Folder, text};

fn output(folder: &Folder, arguments: &[&str]) -> String {
    let output = folder.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    text(&output.stdout)
}

fn refused(folder: &Folder, arguments: &[&str]) -> String {
    let output = folder.run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    text(&output.stderr)
}

#[test]
fn a_backup_beside_a_running_server_comes_back_when_it_is_stopped_and_the_start_says_so() {
    let folder = Folder::new();
    let server = folder.serve();
    output(&folder, &["client", "add", "Before", "--id", "before"]);
    let said = folder.run(&["backup", "b.sqlite"]);
    assert!(said.status.success(), "{said:?}");
    assert!(
        text(&said.stderr).contains("signing keys in clear"),
        "{said:?}"
    );
    output(&folder, &["client", "add", "After", "--id", "after"]);
    let error = refused(&folder, &["restore", "b.sqlite"]);
    assert!(error.contains("stop the server first"), "{error}");
    assert_eq!(server.stop().0, Some(0));

    let said = output(&folder, &["restore", "b.sqlite"]);
    assert!(said.contains("portcullis.db.before-restore-"), "{said}");
    let clients = folder.json(&["client", "list", "--json"]).to_string();
    assert!(
        clients.contains("\"before\"") && !clients.contains("\"after\""),
        "{clients}"
    );
    let (code, log) = folder.serve().stop();
    assert_eq!(code, Some(0), "{log}");
    let again = refused(&folder, &["backup", "b.sqlite"]);
    assert!(again.contains("is there already"), "{again}");
}

#[test]
fn a_store_that_other_tools_restored_is_marked_with_the_migration() {
    let folder = Folder::new();
    assert!(!output(&folder, &["migrate"]).contains("ended"));
    let said = output(&folder, &["migrate", "--restored"]);
    assert!(
        said.contains("up to date") && said.contains("have ended"),
        "{said}"
    );
}

#[test]
fn the_store_of_the_configuration_is_copied_with_its_counts_and_only_once() {
    let folder = Folder::new();
    output(&folder, &["client", "add", "Job", "--id", "job"]);
    let copied = folder.json(&["copy", "--to", "sqlite://copy/p.db", "--json"]);
    assert_eq!(copied["clients"], json!(1));
    std::fs::write(folder.path().join("url"), "sqlite://copy/p.db\n").unwrap();
    let error = refused(&folder, &["copy", "--to-file", "url"]);
    assert!(error.contains("the table clients is not empty"), "{error}");
    let error = refused(
        &folder,
        &["copy", "--from", "sqlite://none.db", "--to-file", "url"],
    );
    assert!(error.contains("no database at none.db"), "{error}");
    let server = folder.serve();
    let error = refused(&folder, &["copy", "--to", "sqlite://copy/other.db"]);
    assert!(error.contains("stop every server"), "{error}");
    assert_eq!(server.stop().0, Some(0));
}
