//! The files of the repository, and which of their lines are production code.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file; its path is relative to the root, with slashes.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Whether the whole file is there for tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("crates/testkit/")
            || ["/tests/", "/benches/"]
                .iter()
                .any(|part| self.path.contains(part))
            || self.path.ends_with("/tests.rs")
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|other| other == extension)
    }

    /// The numbered lines before the tests at the bottom of a file.
    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self
            .text
            .lines()
            .position(|line| line.trim() == "#[cfg(test)]");
        let end = if self.is_test() { Some(0) } else { tests };
        self.lines().take(end.unwrap_or(usize::MAX))
    }

    /// The numbered lines that are there for tests only.
    pub(crate) fn tests(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().skip(self.production().count())
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// A line of Rust without its comment. Text in quotes may hold `//` only as part of a URL.
pub(crate) fn code(line: &str) -> &str {
    let comment = line
        .match_indices("//")
        .map(|(at, _)| at)
        .find(|at| !line.get(..*at).unwrap_or_default().ends_with(':'));
    line.get(..comment.unwrap_or(line.len()))
        .unwrap_or_default()
}

/// Whether a line holds a word that is not part of a longer identifier.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default().chars().next_back();
        let after = line
            .get(at + word.len()..)
            .unwrap_or_default()
            .chars()
            .next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Every text file of the repository.
pub(crate) fn all() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    files
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) {
    const NOT_OURS: [&str; 5] = [
        ".git",
        "target",
        "node_modules",
        "portcullis-data",
        "corpus",
    ];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            files.push(File { path, text });
        }
    }
}

#[test]
fn production_ends_where_the_tests_begin() {
    let file = crate::file(
        "crates/a/src/lib.rs",
        "one\ntwo\n#[cfg(test)]\nmod tests {}\n",
    );
    assert_eq!(file.production().count(), 2);
    assert_eq!(file.tests().next(), Some((3, "#[cfg(test)]")));
    let file = crate::file("crates/a/tests/it/main.rs", "one\n");
    assert_eq!((file.production().count(), file.tests().count()), (0, 1));
}

#[test]
fn comments_are_no_code_and_words_are_whole() {
    assert_eq!(code("let x = 1; // sqlx"), "let x = 1; ");
    assert_eq!(code("\"https://a.example\" // b"), "\"https://a.example\" ");
    assert!(has_word("use sqlx::Row;", "sqlx"));
    assert!(!has_word("use my_sqlx::Row;", "sqlx"));
    assert!(!has_word("use sqlxy::Row;", "sqlx"));
}
