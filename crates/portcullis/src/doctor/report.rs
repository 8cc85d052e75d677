//! What was found.

use serde_json::{Value, json};

use super::rule::Rule;

/// Longest text of a stranger that is shown, in characters.
const MAX_SEEN: usize = 400;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The rule holds.
    Ok,
    /// It could not be checked from outside, or there was nothing to check.
    Skipped,
    /// Some clients will stumble, or a protection is missing that is recommended.
    Warning,
    /// Clients fail, or a protection is missing that is required.
    Error,
}

impl Severity {
    /// The word in JSON and in the summary.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One rule, held against the server.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) rule: Rule,
    /// What was seen, or why nothing could be.
    pub(crate) seen: String,
}

impl Finding {
    /// Whether there is something to mend.
    pub(crate) const fn is_complaint(&self) -> bool {
        matches!(self.severity, Severity::Warning | Severity::Error)
    }

    /// The finding as it stands in the array.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "severity": self.severity.word(),
            "rule": self.rule.id,
            "section": self.rule.section,
            "check": self.rule.check,
            "seen": self.seen,
            "mend": self.is_complaint().then_some(self.rule.mend),
        })
    }
}

/// All findings, told to a listener as they come. Secrets it was told about never enter it.
pub(crate) struct Report<'a> {
    findings: Vec<Finding>,
    secrets: Vec<String>,
    /// What the findings of now are about, where a rule is held against several things.
    subject: &'static str,
    listener: &'a (dyn Fn(&Finding) + Sync),
}

impl<'a> Report<'a> {
    /// An empty report.
    pub(crate) const fn new(listener: &'a (dyn Fn(&Finding) + Sync)) -> Self {
        Self {
            findings: Vec::new(),
            secrets: Vec::new(),
            subject: "",
            listener,
        }
    }

    /// Puts this before what is seen from now on; an empty text ends it.
    pub(super) const fn speak_of(&mut self, subject: &'static str) {
        self.subject = subject;
    }

    /// The findings so far, in the order in which they were made.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many findings are as bad as this.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        let is_such = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(is_such).count()
    }

    /// Keeps this text out of everything that is found from now on: a server may print it back.
    pub(super) fn conceal(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.secrets.push(secret.to_owned());
        }
    }

    /// The rule holds.
    pub(super) fn ok(&mut self, rule: Rule, seen: impl Into<String>) {
        self.add(Severity::Ok, rule, seen.into());
    }

    /// The rule could not be checked.
    pub(super) fn skip(&mut self, rule: Rule, why: impl Into<String>) {
        self.add(Severity::Skipped, rule, why.into());
    }

    /// The rule does not hold, and it is one to take care of.
    pub(super) fn warn(&mut self, rule: Rule, seen: impl Into<String>) {
        self.add(Severity::Warning, rule, seen.into());
    }

    /// The rule does not hold, and it is a hard one.
    pub(super) fn error(&mut self, rule: Rule, seen: impl Into<String>) {
        self.add(Severity::Error, rule, seen.into());
    }

    /// The rule holds, or the finding is as bad as `otherwise`.
    pub(super) fn judge(
        &mut self,
        rule: Rule,
        holds: bool,
        otherwise: Severity,
        seen: impl Into<String>,
    ) {
        let severity = if holds { Severity::Ok } else { otherwise };
        self.add(severity, rule, seen.into());
    }

    /// The rule holds where nothing is missing.
    pub(super) fn judge_missing(
        &mut self,
        rule: Rule,
        missing: &[String],
        otherwise: Severity,
        fine: impl Into<String>,
    ) {
        if missing.is_empty() {
            self.ok(rule, fine);
        } else {
            self.add(otherwise, rule, missing.join("; "));
        }
    }

    fn add(&mut self, severity: Severity, rule: Rule, mut seen: String) {
        seen.insert_str(0, self.subject);
        let seen = self.presentable(seen);
        let finding = Finding {
            severity,
            rule,
            seen,
        };
        (self.listener)(&finding);
        self.findings.push(finding);
    }

    /// Texts of strangers are shown short, on one line, and without secrets.
    fn presentable(&self, mut text: String) -> String {
        for secret in &self.secrets {
            text = text.replace(secret, "(secret)");
        }
        text = without_tokens(&text);
        let is_long = text.chars().nth(MAX_SEEN).is_some();
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let mut shown: String = text.chars().take(MAX_SEEN).map(plain).collect();
        if is_long {
            shown.push('…');
        }
        shown
    }
}

/// The text with every JWT left out: a server may print one that it should keep to itself.
fn without_tokens(text: &str) -> String {
    let is_outside = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let part = |part: &str| {
        let word = part.trim_end_matches(is_outside);
        // `{"` in base64url begins every header.
        let is_token = word.starts_with("eyJ") && word.contains('.');
        let rest = part.get(word.len()..).unwrap_or_default();
        if is_token {
            format!("(token){rest}")
        } else {
            part.to_owned()
        }
    };
    text.split_inclusive(is_outside).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::super::rule;
    use super::*;

    #[test]
    fn secrets_and_control_characters_are_not_shown() {
        let mut report = Report::new(&|_| {});
        report.conceal("hunter2");
        report.error(rule::REACHABLE, "it said \u{1b}[31mhunter2\u{7}");
        assert_eq!(report.findings()[0].seen, "it said  [31m(secret) ");
        assert_eq!(report.count(Severity::Error), 1);
    }

    #[test]
    fn tokens_are_not_shown() {
        let text = "aud \"eyJhbGciOiJFUzI1NiJ9.e30.AA-_\", eyJ and https://h/eyJ.a";
        assert_eq!(
            without_tokens(text),
            "aud \"(token)\", eyJ and https://h/(token)"
        );
    }

    #[test]
    fn long_texts_are_cut() {
        let mut report = Report::new(&|_| {});
        report.ok(rule::REACHABLE, "ä".repeat(5000));
        assert_eq!(report.findings()[0].seen.chars().count(), MAX_SEEN + 1);
    }
}
