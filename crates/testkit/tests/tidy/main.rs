//! The rules of the house that neither the compiler nor a lint can see.
//!
//! Each rule is a function from files to complaints; a test runs it over the repository, and a test
//! beside the rule proves that it can complain. Reads text only: a rule that needs to understand
//! Rust belongs into clippy.
#![expect(clippy::unwrap_used, reason = "test code")]

mod documents;
mod files;
mod imports;
mod literals;
mod messages;
mod text;

use files::File;

/// What a rule found: where, and what is wrong.
type Complaints = Vec<String>;

/// Fails with every complaint on its own line.
fn assert_none(complaints: &Complaints) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn crates_depend_on_each_other_only_in_the_allowed_directions() {
    assert_none(&imports::manifests(&files::all()));
}

#[test]
fn libraries_are_named_only_where_they_belong() {
    assert_none(&imports::words(&files::all()));
}

#[test]
fn no_file_outgrows_its_limit() {
    assert_none(&text::long_files(&files::all()));
}

#[test]
fn nothing_is_skipped_silenced_or_left_undone() {
    assert_none(&text::forbidden_code(&files::all()));
}

#[test]
fn tests_advance_the_clock_and_never_wait() {
    assert_none(&text::sleeping_tests(&files::all()));
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    assert_none(&text::machine_names(&files::all()));
}

#[test]
fn every_script_explains_itself() {
    assert_none(&text::scripts_without_help(&files::all()));
}

#[test]
fn every_relative_link_leads_somewhere() {
    assert_none(&documents::broken_links(&files::all()));
}

#[test]
fn the_table_of_threats_names_tests_that_exist() {
    assert_none(&documents::threats(&files::all()));
}

#[test]
fn every_message_is_explained() {
    assert_none(&messages::unexplained(&files::all()));
}

#[test]
fn the_walk_sees_the_repository() {
    let files = files::all();
    for path in [
        "Cargo.toml",
        "README.md",
        "crates/common/src/lib.rs",
        "scripts/test",
        ".ci/run",
    ] {
        assert!(
            files.iter().any(|file| file.path == path),
            "{path} is missing"
        );
    }
    assert!(!files.iter().any(|file| file.path.starts_with("target/")));
}

/// A file of a repository that exists only in a test.
fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}
