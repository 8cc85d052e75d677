//! Scopes: the grammar of RFC 6749 §3.3, ordered sets, and the declared hierarchy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Longest scope value taken from outside, in bytes; longer ones are refused unread.
const MAX_SCOPE_BYTES: usize = 4096;

/// Why a text is not a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// The text is longer than 4096 bytes.
    #[error("the scope is longer than 4096 bytes")]
    TooLong,
    /// A character outside `%x21 / %x23-5B / %x5D-7E`, or an empty token.
    #[error("a scope token may use printable ASCII except space, quote and backslash only")]
    Syntax,
}

/// One scope token: `1*( %x21 / %x23-5B / %x5D-7E )` (RFC 6749 §3.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeToken(String);

impl ScopeToken {
    /// Reads one token.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if text.len() > MAX_SCOPE_BYTES {
            return Err(ScopeError::TooLong);
        }
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(ScopeError::Syntax);
        }
        Ok(Self(text.to_owned()))
    }

    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A set of scope tokens, printed in alphabetical order, so that equal sets print alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope(BTreeSet<ScopeToken>);

impl Scope {
    /// The scope of nothing.
    pub const fn empty() -> Self {
        Self(BTreeSet::new())
    }

    /// Whether no token is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many tokens are in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether exactly this token is in it; hierarchy plays no part.
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|own| own.as_str() == token)
    }

    /// Whether every token of this set is in the other.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The tokens in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &ScopeToken> {
        self.0.iter()
    }

    /// The tokens of both sets.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The tokens that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// The tokens of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    /// Reads tokens separated by single spaces; outer and repeated spaces are tolerated, as clients
    /// send them, and repeated tokens count once.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err(ScopeError::TooLong);
        }
        text.split(' ')
            .filter(|part| !part.is_empty())
            .map(ScopeToken::parse)
            .collect()
    }
}

impl FromIterator<ScopeToken> for Scope {
    fn from_iter<I: IntoIterator<Item = ScopeToken>>(tokens: I) -> Self {
        Self(tokens.into_iter().collect())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, token) in self.0.iter().enumerate() {
            if position > 0 {
                formatter.write_str(" ")?;
            }
            formatter.write_str(token.as_str())?;
        }
        Ok(())
    }
}

impl serde::Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One scope as the operator declared it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeDeclaration {
    /// The token.
    pub name: ScopeToken,
    /// The sentence that tells a person what they allow.
    pub text: String,
    /// The tokens that this one includes.
    pub implies: Scope,
}

/// The declared scopes and which includes which.
///
/// MCP 2026-07-28 (authorization, scope challenge) demands that a broader scope satisfies a
/// narrower need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeHierarchy {
    declarations: Vec<ScopeDeclaration>,
    /// For every declared token all tokens it includes, itself among them, at any depth.
    closure: BTreeMap<ScopeToken, Scope>,
}

impl ScopeHierarchy {
    /// Takes the declarations in the order in which people should see them.
    pub fn new(declarations: Vec<ScopeDeclaration>) -> Self {
        let direct: BTreeMap<&ScopeToken, &Scope> = declarations
            .iter()
            .map(|entry| (&entry.name, &entry.implies))
            .collect();
        let closure = declarations
            .iter()
            .map(|entry| (entry.name.clone(), reachable(&entry.name, &direct)))
            .collect();
        Self {
            declarations,
            closure,
        }
    }

    /// The declarations, in the operator's order.
    pub fn declarations(&self) -> &[ScopeDeclaration] {
        &self.declarations
    }

    /// All declared tokens.
    pub fn names(&self) -> Scope {
        self.declarations
            .iter()
            .map(|entry| entry.name.clone())
            .collect()
    }

    /// Everything that these tokens allow. An undeclared token allows itself.
    #[must_use]
    pub fn expand(&self, granted: &Scope) -> Scope {
        granted.iter().fold(granted.clone(), |sum, token| {
            match self.closure.get(token) {
                Some(included) => sum.union(included),
                None => sum,
            }
        })
    }

    /// Whether `granted` allows everything in `needed`.
    pub fn satisfies(&self, granted: &Scope, needed: &Scope) -> bool {
        needed.is_subset_of(granted) || needed.is_subset_of(&self.expand(granted))
    }
}

/// Everything reachable from one token; cycles end by themselves.
fn reachable(start: &ScopeToken, direct: &BTreeMap<&ScopeToken, &Scope>) -> Scope {
    let mut found = BTreeSet::new();
    let mut open = vec![start.clone()];
    while let Some(token) = open.pop() {
        if let Some(next) = direct.get(&token) {
            open.extend(next.iter().filter(|one| !found.contains(*one)).cloned());
        }
        found.insert(token);
    }
    Scope(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    fn hierarchy(rules: &[(&str, &str)]) -> ScopeHierarchy {
        let declare = |(name, implies): &(&str, &str)| ScopeDeclaration {
            name: ScopeToken::parse(name).unwrap(),
            text: String::new(),
            implies: scope(implies),
        };
        ScopeHierarchy::new(rules.iter().map(declare).collect())
    }

    #[test]
    fn a_scope_is_printed_in_one_order_whatever_order_it_came_in() {
        assert_eq!(scope("b a  b ").to_string(), "a b");
    }

    #[test]
    fn characters_outside_the_grammar_are_refused() {
        for wrong in ["a\"b", "a\\b", "a\tb", "ä", "a\u{0}"] {
            assert_eq!(wrong.parse::<Scope>(), Err(ScopeError::Syntax), "{wrong:?}");
        }
        assert_eq!("a ".repeat(3000).parse::<Scope>(), Err(ScopeError::TooLong));
    }

    #[test]
    fn a_broader_scope_satisfies_a_narrower_need_at_any_depth() {
        let rules = hierarchy(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "")]);
        assert!(rules.satisfies(&scope("a"), &scope("b c")));
        assert!(!rules.satisfies(&scope("d"), &scope("a")));
        assert!(!rules.satisfies(&scope("a"), &scope("a d")));
    }

    proptest! {
        #[test]
        fn parsing_what_was_printed_gives_the_same_set(tokens in "[!#-\\[\\]-~]{1,8}( [!#-\\[\\]-~]{1,8}){0,5}") {
            let parsed = scope(&tokens);
            prop_assert_eq!(scope(&parsed.to_string()), parsed);
        }

        #[test]
        fn more_scopes_never_allow_less(left in "[abcd]( [abcd]){0,3}", right in "[abcd]( [abcd]){0,3}", need in "[abcd]") {
            let rules = hierarchy(&[("a", "b"), ("b", "c"), ("d", "")]);
            let both = scope(&left).union(&scope(&right));
            if rules.satisfies(&scope(&left), &scope(&need)) {
                prop_assert!(rules.satisfies(&both, &scope(&need)));
            }
        }
    }
}
