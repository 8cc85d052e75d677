//! Every message that a reader can meet is explained in `docs/troubleshooting.md`.
//!
//! A message is a text in quotes in production code with two words or more. What is not an error is
//! sorted out by what it is handed to, by its file, or by name with a reason; everything else needs
//! a row, so that a new message cannot be forgotten. In a row, what the program fills in is `…`.

use std::collections::{BTreeMap, BTreeSet};

use crate::Complaints;
use crate::files::File;
use crate::literals::{Literal, literals};

const DOCUMENT: &str = "docs/troubleshooting.md";
/// The head of a table of messages; tables with another head are free.
const HEAD: &str = "| message |";

/// What is handed to these is no error: attributes, what commands print, logs below `warn`.
const NO_ERRORS: &[&str] = &["expect", "line", "note", "doc", "info!", "debug!", "trace!"];
/// Fields that hold the texts of pages, tools and logs.
const NO_ERROR_FIELDS: &[&str] = &["reason", "title", "description", "summary", "outcome"];
/// The first words of SQL, of policies for browsers, and of what is said on a wire.
const NO_PROSE: &[&str] = &[
    "BEGIN",
    "CREATE",
    "DELETE",
    "EXISTS",
    "FROM",
    "HTTP/1.1",
    "INSERT",
    "LOCK",
    "PRAGMA",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "SET",
    "SHARE",
    "UPDATE",
    "VACUUM",
    "WITH",
    "default-src",
    "g.grant_id,",
];

/// Files, or folders, whose texts are no errors or are explained elsewhere.
const ELSEWHERE: &[(&str, &str)] = &[
    ("crates/testkit/", "tests"),
    (
        "crates/portcullis/src/doctor/",
        "docs/doctor.md has every finding with its mend",
    ),
    (
        "crates/common/src/config/keys.rs",
        "docs/configuration.md has every key",
    ),
    (
        "crates/portcullis/src/commands/greeting.rs",
        "what a good start prints",
    ),
    ("crates/resource/src/openapi.rs", "a description of the API"),
    (
        "crates/resource/src/rest/docs.rs",
        "a page that describes the API",
    ),
    (
        "crates/resource/src/mcp/guide.rs",
        "a prompt that describes the tools",
    ),
    ("crates/common/src/metrics.rs", "names and help of metrics"),
];

/// Texts that no reader meets as an error, each with the reason.
const UNSAID: &[(&str, &str)] = &[
    (
        "a draft that is dropped at once is an unfinished record",
        "the compiler says it, to programmers",
    ),
    ("(registered itself)", "a remark in a list"),
    ("(set, not shown)", "a remark in a list"),
    ("one mistake", "a part of another message"),
    ("no text", "stands in the log for the text of a panic"),
    (
        "authorization_code, refresh_token, client_credentials",
        "a part of another message",
    ),
    ("[[scopes]] name", "a place, not a message"),
    ("[[scopes]] implies", "a place, not a message"),
    ("MCP server", "the name of the resource"),
    ("Use tools that read, and see what is there", "a permission"),
    (
        "Use tools that calculate, write or change something",
        "a permission",
    ),
    ("Use tools that run a model", "a permission"),
    ("Recognise you when you come back", "a permission"),
    ("See your user name", "a permission"),
    ("See your e-mail address", "a permission"),
    (
        "Stay connected while you are away, until you or the operator end it",
        "a permission",
    ),
    (
        "added by the operator of this server",
        "a remark on the consent page",
    ),
    (
        "Apps that you connect will ask you here what they may do.",
        "the page after the login",
    ),
    (
        "Apps that you have connected stay connected.",
        "the page that asks about logging out",
    ),
    (
        "Nobody is logged in here in this browser.",
        "the page after logging out",
    ),
    ("You can close this window.", "the page after logging out"),
    ("Usage guide", "the title of a prompt"),
    (
        "Read the prompt usage-guide for the tools and their scopes.",
        "instructions for models",
    ),
    ("just now", "an answer of the tool timestamp"),
    ("portcullis form … … …", "what is hashed"),
    ("portcullis refresh answer 1", "what a key is derived for"),
    ("The hash under which ['", "documentation"),
    ("'] is stored and looked up.", "documentation"),
    (
        "…=…; Path=/; Max-Age=…; HttpOnly; SameSite=Lax…",
        "a header",
    ),
];

/// Complains about messages without a row, and about rows whose message is gone.
pub(crate) fn unexplained(files: &[File]) -> Complaints {
    let rows = files
        .iter()
        .find(|file| file.path == DOCUMENT)
        .map(|file| rows(&file.text));
    let Some(rows) = rows else {
        return vec![format!("{DOCUMENT} is missing")];
    };
    let messages = messages(files);
    let mut complaints = Complaints::new();
    for (text, place) in &messages.errors {
        if !rows.contains_key(text) && !UNSAID.iter().any(|(unsaid, _)| unsaid == text) {
            complaints.push(format!(
                "{place}: this message has no row; put it into the table of {DOCUMENT} where it \
                 belongs:\n    | `{text}` | what it means | how it is mended |\n  or, if no reader \
                 ever meets it, into UNSAID of crates/testkit/tests/tidy/messages.rs with the reason"
            ));
        }
    }
    for (text, number) in &rows {
        let said = messages.errors.contains_key(text) || messages.others.contains(text);
        if !said && !is_of_a_script(files, text) {
            complaints.push(format!("{DOCUMENT}:{number}: no code says `{text}`"));
        }
    }
    for (text, _) in UNSAID
        .iter()
        .filter(|(text, _)| !messages.errors.contains_key(*text))
    {
        complaints.push(format!("UNSAID: no code says `{text}`"));
    }
    complaints
}

/// The messages of the code in the form of the rows.
#[derive(Default)]
struct Messages {
    /// Errors, with a place where each is made.
    errors: BTreeMap<String, String>,
    /// Texts that may have a row and need none.
    others: BTreeSet<String>,
}

fn messages(files: &[File]) -> Messages {
    let mut messages = Messages::default();
    let crates = |file: &&File| file.path.starts_with("crates/") && file.path.contains("/src/");
    for file in files.iter().filter(|file| file.is_rust()).filter(crates) {
        let code: Vec<&str> = file.production().map(|(_, line)| line).collect();
        let elsewhere = ELSEWHERE
            .iter()
            .any(|(path, _)| file.path.starts_with(path));
        for literal in literals(&code.join("\n")) {
            let text = form(&literal.text);
            if elsewhere || !is_sentence(&text) || !may_be_an_error(&literal) {
                messages.others.insert(text);
            } else {
                let place = format!("{}:{}", file.path, literal.line);
                messages.errors.entry(text).or_insert(place);
            }
        }
    }
    messages
}

/// The message as it stands in a row: `…` for what is filled in, no line breaks, and apostrophes
/// for backquotes, between which it stands.
fn form(text: &str) -> String {
    let mut form = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, placeholder) = rest.split_at(at);
        form.push_str(before);
        let (shown, length) = match placeholder.find('}') {
            _ if placeholder.starts_with("{{") => ("{", 2),
            Some(end) => ("…", end + 1),
            None => ("{", 1),
        };
        form.push_str(shown);
        rest = placeholder.get(length..).unwrap_or_default();
    }
    form.push_str(rest);
    let words: Vec<&str> = form.split_whitespace().collect();
    words.join(" ").replace('`', "'")
}

/// Two words or more.
fn is_sentence(text: &str) -> bool {
    let is_word = |word: &&str| {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        word.len() > 1 && word.chars().all(|c| c.is_alphabetic() || "'-_".contains(c))
    };
    text.split(' ').filter(is_word).count() > 1
}

fn may_be_an_error(literal: &Literal) -> bool {
    let first = literal.text.split_whitespace().next().unwrap_or_default();
    let handed_to = |name: &&str| literal.within.iter().any(|call| call == *name);
    !NO_ERRORS.iter().any(handed_to)
        && !NO_ERROR_FIELDS.contains(&literal.label.as_str())
        && !NO_PROSE.contains(&first)
        && !literal.text.contains("redis.call(")
}

/// The texts between backquotes in the first cells of the tables of messages, with their lines.
fn rows(document: &str) -> BTreeMap<String, usize> {
    let mut rows = BTreeMap::new();
    let mut in_table = false;
    for (index, line) in document.lines().enumerate() {
        in_table = line.starts_with(HEAD) || in_table && line.starts_with('|');
        let cell = line
            .trim_start_matches('|')
            .split(" | ")
            .next()
            .unwrap_or_default();
        for text in cell.split('`').skip(1).step_by(2).filter(|_| in_table) {
            rows.insert(text.to_owned(), index + 1);
        }
    }
    rows
}

/// Whether the front or a script says it, whose own variables are written as they stand there.
fn is_of_a_script(files: &[File], text: &str) -> bool {
    let folders = ["nginx/", "scripts/", "examples/"];
    let said = |file: &&File| folders.iter().any(|folder| file.path.starts_with(folder));
    files
        .iter()
        .filter(said)
        .any(|file| file.text.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;

    #[test]
    fn a_message_without_a_row_and_a_row_without_a_message_are_found() {
        let complaints = |code: &str, row: &str| {
            let table = format!("| message | means | mend |\n|---|---|---|\n{row}\n");
            let files = [file("crates/a/src/lib.rs", code), file(DOCUMENT, &table)];
            let complaints = unexplained(&files);
            complaints
                .into_iter()
                .filter(|text| !text.starts_with("UNSAID"))
                .count()
        };
        let code = "#[error(\"there is no client {0}\")]";
        assert_eq!(complaints(code, "| `there is no client …` | a | b |"), 0);
        assert_eq!(complaints(code, ""), 1);
        assert_eq!(complaints("", "| `there is no client …` | a | b |"), 1);
        assert_eq!(complaints("tracing::debug!(\"there is no client\")", ""), 0);
        assert_eq!(complaints("x(\"one\", \"SELECT a FROM b\")", ""), 0);
    }

    #[test]
    fn what_is_filled_in_is_an_ellipsis() {
        assert_eq!(form("{name} is\n no {}: {0:?}"), "… is no …: …");
        assert_eq!(form("{{x"), "{x");
        assert_eq!(form("run `migrate`"), "run 'migrate'");
    }
}
