//! The texts in quotes of a Rust file, and what they are handed to. A reader of tokens, not of Rust.

use std::iter::Peekable;
use std::str::Chars;

/// A text in quotes in production code.
#[derive(Debug, Default)]
pub(crate) struct Literal {
    pub(crate) line: usize,
    /// The text as the program has it, without the quotes and with its escapes resolved.
    pub(crate) text: String,
    /// The calls, macros and attributes around it, outermost first; macros end with `!`.
    pub(crate) within: Vec<String>,
    /// The name before the colon or the equals sign in front of it.
    pub(crate) label: String,
}

/// Every literal of a Rust text.
pub(crate) fn literals(text: &str) -> Vec<Literal> {
    let mut reader = Reader {
        chars: text.chars().peekable(),
        line: 1,
        open: Vec::new(),
        word: String::new(),
        label: String::new(),
        found: Vec::new(),
    };
    while let Some(c) = reader.next() {
        reader.take(c);
    }
    reader.found
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
    open: Vec<String>,
    /// The last name, with `!` where it is a macro, until something else comes.
    word: String,
    label: String,
    found: Vec<Literal>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn take(&mut self, c: char) {
        match c {
            '/' if self.chars.peek() == Some(&'/') => {
                while self.next().is_some_and(|c| c != '\n') {}
            }
            '"' => self.quoted(),
            '\'' => self.character(),
            '(' | '[' | '{' => {
                let word = std::mem::take(&mut self.word);
                self.open.push(word);
                self.label.clear();
            }
            ')' | ']' | '}' => {
                self.open.pop();
                self.word.clear();
            }
            '!' => self.word.push('!'),
            ':' | '=' => self.label = std::mem::take(&mut self.word),
            c if c.is_whitespace() => {}
            c if c.is_alphanumeric() || c == '_' => self.name(c),
            _ => {
                self.word.clear();
                self.label.clear();
            }
        }
    }

    fn name(&mut self, first: char) {
        self.label.clear();
        self.word = first.to_string();
        while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
            self.word.push(c);
        }
        if matches!(self.word.as_str(), "r" | "br") && matches!(self.chars.peek(), Some('"' | '#'))
        {
            self.raw();
        }
    }

    fn quoted(&mut self) {
        let line = self.line;
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '"' => break,
                '\\' => self.escape(&mut text),
                c => text.push(c),
            }
        }
        self.keep(line, text);
    }

    fn escape(&mut self, text: &mut String) {
        match self.next() {
            Some('\n') => {
                while self.chars.peek().is_some_and(|c| c.is_whitespace()) {
                    self.next();
                }
            }
            Some('n' | 't' | 'r' | '0') => text.push(' '),
            Some(c) => text.push(c),
            None => {}
        }
    }

    /// A raw text, after its `r`.
    fn raw(&mut self) {
        let line = self.line;
        let mut hashes = 0;
        while self.chars.next_if_eq(&'#').is_some() {
            hashes += 1;
        }
        let end = format!("\"{}", "#".repeat(hashes));
        let mut text = String::new();
        self.next();
        while !text.ends_with(&end) {
            let Some(c) = self.next() else { break };
            text.push(c);
        }
        text.truncate(text.len().saturating_sub(end.len()));
        self.keep(line, text);
    }

    /// A character, or a lifetime, of which nothing is skipped.
    fn character(&mut self) {
        let mut ahead = self.chars.clone();
        let (first, second) = (ahead.next(), ahead.next());
        if first == Some('\\') {
            self.next();
            self.next();
            while self.next().is_some_and(|c| c != '\'') {}
        } else if second == Some('\'') {
            self.next();
            self.next();
        }
    }

    fn keep(&mut self, line: usize, text: String) {
        self.word.clone_from(&text);
        self.found.push(Literal {
            line,
            text,
            within: self.open.clone(),
            label: std::mem::take(&mut self.label),
        });
    }
}

#[test]
fn texts_are_found_with_what_is_around_them() {
    let source = r#"
        // "a comment"
        #[error("the code {0} is \
                 unknown")]
        fn f<'a>(c: char) -> bool { c == '"' || c == '\'' }
        tracing::error!(cause = %e, "it \"failed\"");
        let x = Card { title: "A title", b: r@"raw "text""@ };
    "#;
    let found = literals(&source.replace('@', "#"));
    let texts: Vec<&str> = found.iter().map(|literal| literal.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "the code {0} is unknown",
            "it \"failed\"",
            "A title",
            "raw \"text\""
        ]
    );
    let within = |at: usize| found.get(at).unwrap().within.last().unwrap().clone();
    assert_eq!((within(0), within(1)), ("error".into(), "error!".into()));
    assert_eq!(found.get(2).unwrap().label, "title");
    assert_eq!(found.first().unwrap().line, 3);
}
