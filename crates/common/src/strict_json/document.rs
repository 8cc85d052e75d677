//! A JSON document as it was read: texts are lent from the bytes wherever they need no unescaping.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Number, Value};

/// Up to so many members are compared with each other; more go through a set, so that the cost of
/// an object grows with its size and not with the square of it.
const FEW: usize = 16;

/// One value of a document. Objects keep their members in the order of the text, and no member
/// stands in one twice.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Object(Members<'a>),
}

/// The members of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members<'a>(pub(super) Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Json<'a> {
    /// The member of this name, if this is an object that has one.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if this is an object.
    pub const fn as_object(&self) -> Option<&Members<'a>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The same value with texts of its own.
    pub fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::String(text.into_owned()),
            Self::List(values) => values.into_iter().map(Self::into_value).collect(),
            Self::Object(members) => Value::Object(members.into_map()),
        }
    }
}

impl<'a> Members<'a> {
    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value)
    }

    /// Whether there is a member of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn into_map(self) -> serde_json::Map<String, Value> {
        let own = |(name, value): (Cow<'_, str>, Json<'_>)| (name.into_owned(), value.into_value());
        self.0.into_iter().map(own).collect()
    }

    pub(super) fn has_a_repeated_name(&self) -> bool {
        let names = || self.0.iter().map(|(name, _)| &**name);
        if self.0.len() > FEW {
            let mut seen = HashSet::with_capacity(self.0.len());
            return !names().all(|name| seen.insert(name));
        }
        names()
            .enumerate()
            .any(|(position, name)| names().take(position).any(|before| before == name))
    }
}
