//! Rules about single lines and whole files.

use crate::Complaints;
use crate::files::{File, code};

/// Production lines of a Rust file, and all lines of a script.
const RUST_LINES: usize = 500;
const SCRIPT_LINES: usize = 80;

/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[];

/// Test files that may wait, each with its reason.
const WAITING: &[(&str, &str)] = &[(
    "crates/testkit/src/bin/with_containers/patience.rs",
    "no test: a container takes real time to start",
)];

/// Complains about files that nobody wants to read.
pub(crate) fn long_files(files: &[File]) -> Complaints {
    let mut complaints = Complaints::new();
    for file in files {
        let (lines, limit) = if file.is_rust() {
            (file.production().count(), RUST_LINES)
        } else if file.path.starts_with("scripts/") || file.path.starts_with(".ci/") {
            (file.lines().count(), SCRIPT_LINES)
        } else {
            continue;
        };
        if lines > limit && !LONGER.iter().any(|(path, _)| *path == file.path) {
            complaints.push(format!("{}: {lines} lines, at most {limit}", file.path));
        }
    }
    complaints
}

/// Complains about ignored tests, silenced lints and work that nobody owns.
pub(crate) fn forbidden_code(files: &[File]) -> Complaints {
    // In pieces, so that this file does not complain about itself.
    let todo = concat!("TO", "DO");
    let owned = concat!("TO", "DO(");
    let ignored = concat!("#[", "ignore");
    let allowed = [concat!("#[", "allow("), concat!("#![", "allow(")];
    let mut complaints = Complaints::new();
    for file in files {
        for (number, line) in file.lines() {
            let mut complain = |what| complaints.push(format!("{}:{number}: {what}", file.path));
            if line.contains(todo) && !line.contains(owned) {
                complain("unfinished work needs an owner in brackets and a condition");
            }
            if file.is_rust() && line.contains(ignored) {
                complain("no test is ignored");
            }
            if file.is_rust() && allowed.iter().any(|text| code(line).contains(text)) {
                complain("expect the lint with a reason, so that a stale exception shows");
            }
        }
    }
    complaints
}

/// Complains about tests that wait for real time to pass.
pub(crate) fn sleeping_tests(files: &[File]) -> Complaints {
    let sleep = concat!("sle", "ep(");
    let mut complaints = Complaints::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        if WAITING.iter().any(|(path, _)| *path == file.path) {
            continue;
        }
        for (number, line) in file.tests() {
            if code(line).contains(sleep) {
                complaints.push(format!("{}:{number}: a test advances the clock", file.path));
            }
        }
    }
    complaints
}

/// Complains about names that mean something on one machine only.
pub(crate) fn machine_names(files: &[File]) -> Complaints {
    const NAMES: &[&str] = &[
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("registry.np", "mjs"),
        concat!("index.crat", "es.io"),
        concat!("static.crat", "es.io"),
        concat!("deb.deb", "ian.org"),
        concat!("proxy.gol", "ang.org"),
        concat!("py", "pi.org"),
    ];
    let mut complaints = Complaints::new();
    for file in files {
        for (number, line) in file.lines() {
            for name in NAMES.iter().filter(|name| line.contains(*name)) {
                complaints.push(format!("{}:{number}: `{name}`", file.path));
            }
        }
    }
    complaints
}

/// Complains about scripts that cannot be asked what they do.
pub(crate) fn scripts_without_help(files: &[File]) -> Complaints {
    files
        .iter()
        .filter(|file| file.text.starts_with("#!"))
        .filter(|file| !(file.text.contains("Usage: ") && file.text.contains("-h")))
        .map(|file| format!("{}: answers no --help", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;

    fn check(rule: fn(&[File]) -> Complaints, path: &str, text: &str, complaints: usize) {
        assert_eq!(
            rule(&[file(path, text)]).len(),
            complaints,
            "{path}: {text}"
        );
    }

    #[test]
    fn a_long_file_is_found() {
        let long = "x\n".repeat(RUST_LINES + 1);
        check(long_files, "crates/a/src/lib.rs", &long, 1);
        check(long_files, "crates/a/tests/it/main.rs", &long, 0);
        check(long_files, "scripts/test", &long, 1);
        check(
            long_files,
            "crates/a/src/lib.rs",
            &format!("#[cfg(test)]\n{long}"),
            0,
        );
    }

    #[test]
    fn skipped_silenced_and_undone_code_is_found() {
        let path = "crates/a/src/lib.rs";
        check(forbidden_code, path, concat!("// TO", "DO: later"), 1);
        check(
            forbidden_code,
            path,
            concat!("// TO", "DO(ann): when rmcp 4 is out"),
            0,
        );
        check(forbidden_code, path, concat!("#[", "ignore]"), 1);
        check(forbidden_code, path, concat!("#![", "allow(dead_code)]"), 1);
    }

    #[test]
    fn a_waiting_test_is_found() {
        let wait = concat!("tokio::time::sle", "ep(x).await;");
        check(sleeping_tests, "crates/a/tests/it/main.rs", wait, 1);
        check(
            sleeping_tests,
            "crates/a/src/lib.rs",
            &format!("#[cfg(test)]\n{wait}"),
            1,
        );
        check(sleeping_tests, "crates/a/src/lib.rs", wait, 0);
    }

    #[test]
    fn a_machine_name_is_found() {
        check(machine_names, "README.md", concat!("cd /wo", "rk/x"), 1);
        check(machine_names, "README.md", "a network/x", 0);
    }

    #[test]
    fn a_silent_script_is_found() {
        check(scripts_without_help, "scripts/x", "#!/bin/sh\necho x", 1);
        check(
            scripts_without_help,
            "scripts/x",
            "#!/bin/sh\n# Usage: x [-h]",
            0,
        );
    }
}
