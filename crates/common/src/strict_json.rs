//! JSON from strangers: parsed once, with repeated members refused and depth and count bounded.
//!
//! Two readers that disagree about a repeated member can be played against each other: the guard
//! would judge one value and the server execute the other.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

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

/// Parses one JSON document.
pub fn parse(bytes: &[u8]) -> Result<Value, StrictJsonError> {
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

/// Parses one JSON document that must be an object.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, StrictJsonError> {
    match parse(bytes)? {
        Value::Object(members) => Ok(members),
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
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        self.count()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if members.insert(name, value).is_some() {
                return Err(self.fail(StrictJsonError::DuplicateMember));
            }
        }
        Ok(Value::Object(members))
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
