//! JSON from strangers: parsed once, with repeated members refused and depth and count bounded.
//!
//! Two readers that disagree about a repeated member can be played against each other: the guard
//! would judge one value and the server execute the other.

mod document;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub use document::{Json, Members};

/// Deepest nesting of arrays and objects.
const MAX_DEPTH: u16 = 64;
/// Most values in one document, members and elements counted.
const MAX_VALUES: u32 = 50_000;

/// Why a document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrictJsonError {
    /// Not JSON in UTF-8, or more than one value.
    #[error("it is not valid JSON")]
    Syntax,
    /// A member stands twice in one object.
    #[error("an object has the same member twice")]
    DuplicateMember,
    /// Nested deeper than 64.
    #[error("it is nested too deeply")]
    TooDeep,
    /// More than 50,000 values.
    #[error("it has too many values")]
    TooMany,
}

/// Reads one JSON document without copying what can be lent.
pub fn read(bytes: &[u8]) -> Result<Json<'_>, StrictJsonError> {
    let state = State {
        flaw: Cell::new(StrictJsonError::Syntax),
        left: Cell::new(MAX_VALUES),
    };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict {
        state: &state,
        depth: 0,
    }
    .deserialize(&mut reader)
    .and_then(|value| reader.end().map(|()| value));
    value.map_err(|_| state.flaw.get())
}

/// Parses one JSON document.
pub fn parse(bytes: &[u8]) -> Result<Value, StrictJsonError> {
    read(bytes).map(Json::into_value)
}

/// Parses one JSON document that must be an object.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, StrictJsonError> {
    match read(bytes)? {
        Json::Object(members) => Ok(members.into_map()),
        _ => Err(StrictJsonError::Syntax),
    }
}

struct State {
    flaw: Cell<StrictJsonError>,
    left: Cell<u32>,
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    state: &'a State,
    depth: u16,
}

impl Strict<'_> {
    fn fail<E: serde::de::Error>(self, flaw: StrictJsonError) -> E {
        self.state.flaw.set(flaw);
        E::custom("refused")
    }

    /// Counts one value.
    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        match self.state.left.get().checked_sub(1) {
            Some(left) => {
                self.state.left.set(left);
                Ok(())
            }
            None => Err(self.fail(StrictJsonError::TooMany)),
        }
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fail(StrictJsonError::TooDeep));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Json<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Json<'de>, D::Error> {
        self.count()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        Number::from_f64(value)
            .map(Json::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut members = Members::default();
        while let Some(name) = entries.next_key_seed(Name)? {
            members.0.push((name, entries.next_value_seed(inner)?));
        }
        if members.has_a_repeated_name() {
            return Err(self.fail(StrictJsonError::DuplicateMember));
        }
        Ok(Json::Object(members))
    }
}

/// The name of a member, lent where it needs no unescaping.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a member")
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &[u8], expected: StrictJsonError) {
        assert_eq!(parse(input), Err(expected));
    }

    #[test]
    fn repeated_members_are_refused_at_every_depth() {
        check(br#"{"a":1,"a":1}"#, StrictJsonError::DuplicateMember);
        check(
            br#"[{"x":{"a":1,"\u0061":2}}]"#,
            StrictJsonError::DuplicateMember,
        );
    }

    #[test]
    fn a_repeated_member_is_found_in_a_large_object_too() {
        let members: Vec<_> = (0..40).map(|n| format!(r#""m{n}":0"#)).collect();
        let fine = format!("{{{}}}", members.join(","));
        assert!(parse(fine.as_bytes()).is_ok());
        let twice = format!(r#"{{{},"m7":1}}"#, members.join(","));
        check(twice.as_bytes(), StrictJsonError::DuplicateMember);
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        let wrong: [&[u8]; 8] = [
            b"",
            b"{} {}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\xff}",
            br#"{"a":"\ud800"}"#,
            b"1e999999",
            b"{\"a\":1,}",
            b"{\0\"a\":1}",
        ];
        for input in wrong {
            check(input, StrictJsonError::Syntax);
        }
    }

    #[test]
    fn depth_and_count_are_bounded() {
        check("[".repeat(100_000).as_bytes(), StrictJsonError::TooDeep);
        check(
            format!("[{}0]", "0,".repeat(60_000)).as_bytes(),
            StrictJsonError::TooMany,
        );
        assert!(parse(format!("{}{}", "[".repeat(64), "]".repeat(64)).as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_it_accepts_it_reads_as_everybody_does(text in "[\\[\\]{}:,\"a-c0-9 .eE+-]{0,40}") {
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
            }
        }
    }
}
