//! Rules about what the documents say.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::Complaints;
use crate::files::{File, root};

/// Complains about relative links in Markdown that lead nowhere.
pub(crate) fn broken_links(files: &[File]) -> Complaints {
    let mut complaints = Complaints::new();
    for file in files.iter().filter(|file| file.has_extension("md")) {
        for (number, target) in links(&file.text) {
            let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
            let path = plain(&folder.join(target));
            let known = files
                .iter()
                .any(|other| Path::new(&other.path).starts_with(&path));
            if !known && !root().join(&path).exists() {
                complaints.push(format!("{}:{number}: `{target}` leads nowhere", file.path));
            }
        }
    }
    complaints
}

/// The relative targets of links outside code blocks, without their anchors.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for part in line.split("](").skip(1) {
            let target = part.split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') {
                found.push((index + 1, target));
            }
        }
    }
    found
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(name) => plain.push(name),
            _ => {}
        }
    }
    plain
}

/// Complains about rows of `docs/threats.md` without a test, with one that does not exist, or with
/// the number of another row. A row is `| JW-01 | what is tried | crate::path::test_name, … |`; the
/// rows that no test shows yet are a list of `- JW-01: why`.
pub(crate) fn threats(files: &[File]) -> Complaints {
    let Some(table) = files.iter().find(|file| file.path == "docs/threats.md") else {
        return vec!["docs/threats.md is missing".to_owned()];
    };
    let mut complaints = Complaints::new();
    let mut seen = BTreeSet::new();
    for (number, line) in table.lines() {
        let Some(row) = row_id(line) else { continue };
        let mut complain =
            |what: &str| complaints.push(format!("docs/threats.md:{number}: {what}"));
        if !seen.insert(row) {
            complain(&format!("{row} stands twice"));
        }
        if line.starts_with('-') {
            continue;
        }
        let tests: Vec<&str> = test_names(line);
        if tests.is_empty() {
            complain(&format!("{row} names no test"));
        }
        for name in tests.iter().filter(|name| !is_test(files, name)) {
            complain(&format!("{row}: there is no test `{name}`"));
        }
    }
    complaints
}

/// `JW-01` of a row or of a line of the list.
fn row_id(line: &str) -> Option<&str> {
    let rest = line
        .strip_prefix("| ")
        .or_else(|| line.strip_prefix("- "))?;
    let id = rest.split([' ', ':']).next()?;
    let (group, number) = id.split_once('-')?;
    let letters = group.len() == 2 && group.chars().all(|c| c.is_ascii_uppercase());
    (letters && !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())).then_some(id)
}

/// The last parts of the paths in the last cell of a row.
fn test_names(line: &str) -> Vec<&str> {
    let cell = line
        .trim_end()
        .trim_end_matches('|')
        .rsplit(" | ")
        .next()
        .unwrap_or_default();
    cell.split([',', ' ', '`'])
        .filter(|path| path.contains("::"))
        .filter_map(|path| path.rsplit("::").next())
        .collect()
}

/// Whether some Rust file defines a function of this name below a test attribute, or as a test that
/// a macro runs on a database of each engine.
fn is_test(files: &[File], name: &str) -> bool {
    let head = format!("fn {name}(");
    let on_each_engine = format!("fn {name}(database)");
    files.iter().filter(|file| file.is_rust()).any(|file| {
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        lines.iter().enumerate().any(|(at, line)| {
            let above = lines.get(..at).unwrap_or_default().iter().rev();
            let mut attributes =
                above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
            let has_attribute =
                attributes.any(|line| line.starts_with("#[") && line.contains("test"));
            line.contains(&on_each_engine) || line.contains(&head) && has_attribute
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;

    #[test]
    fn a_broken_link_is_found() {
        let complaints = |text| broken_links(&[file("docs/a.md", text), file("docs/b/c.md", "")]);
        assert_eq!(complaints("[x](nowhere.md)").len(), 1);
        assert_eq!(complaints("[x](../nowhere.md#y) [z](b/c.md)").len(), 1);
        for fine in [
            "[x](b/c.md)",
            "[x](b)",
            "[x](../Cargo.toml)",
            "[x](https://a.example/)",
            "[x](#y)",
        ] {
            assert_eq!(complaints(fine), Complaints::new(), "{fine}");
        }
        assert_eq!(complaints("```\n[x](nowhere.md)\n```"), Complaints::new());
    }

    #[test]
    fn a_row_without_a_living_test_is_found() {
        let complaints = |row: &str| {
            let tests = file(
                "crates/a/tests/it/main.rs",
                "#[test]\nfn alg_none_is_refused() {}\nfn other() {}",
            );
            threats(&[tests, file("docs/threats.md", row)]).len()
        };
        assert_eq!(
            complaints("| JW-01 | alg none | `a::it::alg_none_is_refused` |"),
            0
        );
        assert_eq!(
            complaints("| JW-01 | alg none | `a::it::gone`, `a::it::alg_none_is_refused` |"),
            1
        );
        assert_eq!(complaints("| JW-01 | alg none | `a::it::other` |"), 1);
        assert_eq!(complaints("| JW-01 | alg none | - |"), 1);
        assert_eq!(
            complaints("| JW-01 | x | `a::alg_none_is_refused` |\n- JW-01: not shown"),
            1
        );
        assert_eq!(complaints("- JW-01: not shown"), 0);
        assert_eq!(threats(&[]).len(), 1);
    }
}
