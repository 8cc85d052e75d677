//! The values as they were written, wherever they were written, before they are understood.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use toml::{Table, Value};

use super::keys::{self, KEYS, Key, SECTIONS, TABLE_KEYS};

/// One mistake in the configuration, with its mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands: a key with its file, or a variable.
    pub place: String,
    /// What is wrong and what would be right.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.text)
    }
}

/// Where the configuration comes from. The environment and the files are handed in.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The configuration file's name and text, if there is one.
    pub file: Option<(&'a Path, &'a str)>,
    /// The environment.
    pub environment: &'a BTreeMap<String, String>,
    /// Reads the file that a `…_FILE` variable or a `secret_file` key names.
    pub read_secret: &'a dyn Fn(&Path) -> std::io::Result<String>,
}

impl<'a> Sources<'a> {
    /// The environment alone; secret files are read from the file system.
    pub fn of_environment(environment: &'a BTreeMap<String, String>) -> Self {
        Self {
            file: None,
            environment,
            read_secret: &|path| std::fs::read_to_string(path),
        }
    }
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sources")
            .field("file", &self.file.map(|(path, _)| path))
            .finish_non_exhaustive()
    }
}

/// Every value with its place, and every problem found so far.
pub(super) struct Raw<'a> {
    values: BTreeMap<(&'static str, &'static str), (String, Value)>,
    tables: BTreeMap<&'static str, Vec<Table>>,
    pub(super) problems: Vec<Problem>,
    sources: Sources<'a>,
}

impl<'a> Raw<'a> {
    pub(super) fn gather(sources: Sources<'a>) -> Self {
        let mut raw = Self {
            values: BTreeMap::new(),
            tables: BTreeMap::new(),
            problems: Vec::new(),
            sources,
        };
        if let Some((path, text)) = sources.file {
            match text.parse::<Table>() {
                Ok(document) => raw.take_file(&path.display().to_string(), document),
                Err(error) => raw.problem(path.display().to_string(), error.to_string().trim()),
            }
        }
        raw.take_environment();
        raw
    }

    pub(super) fn problem(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.problems.push(Problem {
            place: place.into(),
            text: text.into(),
        });
    }

    fn take_file(&mut self, file: &str, document: Table) {
        for (section, value) in document {
            self.take_section(file, &section, value);
        }
    }

    /// A section, its keys, and the sections and tables below it.
    fn take_section(&mut self, file: &str, section: &str, value: Value) {
        if let Some((name, known)) = TABLE_KEYS.iter().find(|(name, _)| *name == section) {
            self.take_tables(file, name, known, value);
            return;
        }
        let is_section = KEYS.iter().any(|key| key.section == section);
        match value {
            Value::Table(entries) if is_section => {
                for (name, value) in entries {
                    self.take_entry(file, section, &name, value);
                }
            }
            _ => self.problem(
                format!("[{section}] in {file}"),
                unknown(section, sections()),
            ),
        }
    }

    fn take_entry(&mut self, file: &str, section: &str, name: &str, value: Value) {
        let place = format!("[{section}] {name} in {file}");
        let below = format!("{section}.{name}");
        let is_below = KEYS.iter().any(|key| key.section == below)
            || TABLE_KEYS.iter().any(|(table, _)| *table == below);
        match keys::find(section, name) {
            Some(key) => {
                self.values.insert((key.section, key.name), (place, value));
            }
            None if is_below => self.take_section(file, &below, value),
            None => {
                let known = KEYS
                    .iter()
                    .filter(|key| key.section == section)
                    .map(|key| key.name);
                self.problem(place, unknown(name, known.collect()));
            }
        }
    }

    fn take_tables(&mut self, file: &str, section: &'static str, known: &[&str], value: Value) {
        let Value::Array(items) = value else {
            self.problem(
                format!("[[{section}]] in {file}"),
                "write it in double brackets",
            );
            return;
        };
        for item in items {
            let Value::Table(table) = item else { continue };
            for name in table.keys().filter(|name| !known.contains(&name.as_str())) {
                let place = format!("[[{section}]] {name} in {file}");
                self.problem(place, unknown(name, known.to_vec()));
            }
            self.tables.entry(section).or_default().push(table);
        }
    }

    fn take_environment(&mut self) {
        let mut from_files = BTreeSet::new();
        for (variable, value) in self.sources.environment {
            let Some(rest) = variable.strip_prefix("PORTCULLIS_") else {
                continue;
            };
            let lower = rest.to_ascii_lowercase();
            let is_ours = SECTIONS.iter().any(|section| {
                lower
                    .strip_prefix(section)
                    .is_some_and(|rest| rest.starts_with('_'))
            });
            if !is_ours {
                continue;
            }
            let plain = KEYS.iter().find(|key| key.variable() == *variable);
            let twin = variable
                .strip_suffix("_FILE")
                .and_then(|name| KEYS.iter().find(|key| key.secret && key.variable() == name));
            match (plain, twin) {
                (Some(key), _) => self.take_variable(key, variable, value.clone()),
                (None, Some(key)) => {
                    from_files.insert(key.variable());
                    match (self.sources.read_secret)(Path::new(value)) {
                        Ok(text) => {
                            self.take_variable(key, variable, text.trim_end().to_owned());
                        }
                        Err(error) => self.problem(variable, format!("{value}: {error}")),
                    }
                }
                (None, None) => self.problem(
                    variable,
                    "no such key; unset it, or see docs/configuration.md for the names",
                ),
            }
        }
        for name in from_files
            .iter()
            .filter(|name| self.sources.environment.contains_key(*name))
        {
            self.problems.push(Problem {
                place: name.clone(),
                text: format!("{name}_FILE is set too; unset one of them"),
            });
        }
    }

    fn take_variable(&mut self, key: &'static Key, variable: &str, value: String) {
        self.values.insert(
            (key.section, key.name),
            (variable.to_owned(), Value::String(value)),
        );
    }

    /// Where a key was set, or how it is called.
    pub(super) fn place(&self, section: &str, name: &str) -> String {
        keys::find(section, name)
            .and_then(|key| self.values.get(&(key.section, key.name)))
            .map_or_else(|| format!("[{section}] {name}"), |(place, _)| place.clone())
    }

    /// Whether a key was set, to something.
    pub(super) fn is_set(&self, section: &'static str, name: &'static str) -> bool {
        self.values.contains_key(&(section, name))
    }

    /// The value of a key, if it was set and is right.
    pub(super) fn optional<T>(
        &mut self,
        section: &'static str,
        name: &'static str,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let (place, value) = self.values.get(&(section, name))?;
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err(text) => {
                self.problems.push(Problem {
                    place: place.clone(),
                    text,
                });
                None
            }
        }
    }

    /// The value of a key, or its default. The fallback is for a wrong value, so that the search
    /// for further problems can go on.
    pub(super) fn value<T: Clone>(
        &mut self,
        section: &'static str,
        name: &'static str,
        fallback: T,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> T {
        if !self.is_set(section, name) {
            let default = keys::find(section, name).map_or("", |key| key.default);
            return parse(&Value::String(default.to_owned())).unwrap_or(fallback);
        }
        self.optional(section, name, parse).unwrap_or(fallback)
    }

    /// The tables of one kind.
    pub(super) fn tables(&mut self, section: &str) -> Vec<Table> {
        self.tables.remove(section).unwrap_or_default()
    }

    /// Reads a secret file named in a table.
    pub(super) fn read_secret(&self, path: &str) -> Result<String, String> {
        (self.sources.read_secret)(Path::new(path)).map_err(|error| format!("{path}: {error}"))
    }
}

fn sections() -> Vec<&'static str> {
    let mut names: Vec<&str> = KEYS.iter().map(|key| key.section).collect();
    names.extend(TABLE_KEYS.iter().map(|(name, _)| *name));
    names.dedup();
    names
}

/// The refusal of an unknown name, with the nearest known one.
fn unknown(name: &str, known: Vec<&str>) -> String {
    let nearest = known
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match nearest {
        Some((_, candidate)) => format!("no such name; did you mean {candidate}?"),
        None => "no such name; remove it, or see docs/configuration.md for the names".to_owned(),
    }
}

/// Levenshtein's distance, for short names.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let best = (diagonal + usize::from(a != b))
                .min(last + 1)
                .min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            last = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
