//! Names of certificate subjects (X.501), from certificates and from text, in one form in which
//! they are compared.

use std::fmt;

/// The names by which attribute types are written in text, in upper case, with their object
/// identifiers: those of RFC 4514 §3, and what nginx and OpenSSL write beside them.
const TYPES: [(&str, &str); 16] = [
    ("CN", "2.5.4.3"),
    ("SN", "2.5.4.4"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("TITLE", "2.5.4.12"),
    ("POSTALCODE", "2.5.4.17"),
    ("GN", "2.5.4.42"),
    ("ORGANIZATIONIDENTIFIER", "2.5.4.97"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
];

/// Why a text is not a distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write the subject as RFC 4514 does, the last part first and without spaces around commas: \
     CN=agent,O=Example; a type that is not known by name is written as its number, such as 2.5.4.65"
)]
pub struct DistinguishedNameError;

/// One attribute of a name: its type as an object identifier in dotted form, and its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute {
    /// The type, such as `2.5.4.3`.
    pub kind: String,
    /// The value.
    pub value: String,
}

/// A name that is not empty, the last part first, as RFC 4514 writes it.
///
/// Two names are equal if they have the same parts in the same order, and each part the same
/// attributes. Values are compared as they are, case and spaces too: whatever differs, differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedName(Vec<Vec<Attribute>>);

impl DistinguishedName {
    /// Makes a name of its parts, the last first; `None` if there is none, or an empty one.
    pub fn new(mut parts: Vec<Vec<Attribute>>) -> Option<Self> {
        if parts.is_empty() || parts.iter().any(Vec::is_empty) {
            return None;
        }
        // X.501 §9.2: the attributes of one part are a set.
        for part in &mut parts {
            part.sort_unstable();
        }
        Some(Self(parts))
    }

    /// Reads the text form of RFC 4514 §2. Values in hexadecimal (`#…`) are not read.
    pub fn parse(text: &str) -> Result<Self, DistinguishedNameError> {
        let mut parts = Vec::new();
        let mut part = Vec::new();
        let mut rest = text;
        loop {
            let (kind, after) = rest.split_once('=').ok_or(DistinguishedNameError)?;
            let kind = kind_of(kind).ok_or(DistinguishedNameError)?;
            let (value, end) = value_of(after).ok_or(DistinguishedNameError)?;
            part.push(Attribute { kind, value });
            match end {
                Some(('+', after)) => rest = after,
                Some((_, after)) => {
                    parts.push(std::mem::take(&mut part));
                    rest = after;
                }
                None => break,
            }
        }
        parts.push(part);
        Self::new(parts).ok_or(DistinguishedNameError)
    }
}

/// The object identifier of a type that is written by its name, in any case, or as its number.
fn kind_of(text: &str) -> Option<String> {
    let known = TYPES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    if let Some((_, number)) = known {
        return Some((*number).to_owned());
    }
    let is_arc = |arc: &str| {
        let has_zero_before = arc.len() > 1 && arc.starts_with('0');
        !arc.is_empty() && !has_zero_before && arc.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_number = text.contains('.') && text.split('.').all(is_arc);
    is_number.then(|| text.to_owned())
}

/// The value at the beginning of a text without its escapes, and the separator after it with what
/// follows.
fn value_of(text: &str) -> Option<(String, Option<(char, &str)>)> {
    // RFC 4514 §2.4: these are escaped at the beginning, and a space at the end.
    if text.starts_with([' ', '#']) {
        return None;
    }
    let mut value = Vec::new();
    let mut ends_with_space = false;
    let mut rest = text.chars();
    let end = loop {
        match rest.next() {
            None => break None,
            Some(separator @ (',' | '+')) => break Some((separator, rest.as_str())),
            Some('"' | ';' | '<' | '>' | '\0') => return None,
            Some('\\') => {
                value.push(escaped(&mut rest)?);
                ends_with_space = false;
            }
            Some(plain) => {
                value.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
                ends_with_space = plain == ' ';
            }
        }
    };
    let value = String::from_utf8(value).ok()?;
    (!ends_with_space).then_some((value, end))
}

/// The byte that an escape stands for: a special character, or two hexadecimal digits.
fn escaped(rest: &mut std::str::Chars<'_>) -> Option<u8> {
    let first = rest.next()?;
    if " \"#+,;<=>\\".contains(first) {
        return u8::try_from(first).ok();
    }
    let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(first)? << 4) | digit(rest.next()?)?)
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, part) in self.0.iter().enumerate() {
            for (place, attribute) in part.iter().enumerate() {
                let separator = match (position, place) {
                    (0, 0) => "",
                    (_, 0) => ",",
                    _ => "+",
                };
                write!(formatter, "{separator}{attribute}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = TYPES.iter().find(|(_, number)| *number == self.kind);
        let kind = known.map_or(self.kind.as_str(), |(name, _)| *name);
        write!(formatter, "{kind}=")?;
        let last = self.value.chars().count().saturating_sub(1);
        for (place, c) in self.value.chars().enumerate() {
            let is_special = match c {
                '"' | '+' | ',' | ';' | '<' | '>' | '\\' => true,
                ' ' => place == 0 || place == last,
                '#' => place == 0,
                _ => false,
            };
            match c {
                _ if is_special => write!(formatter, "\\{c}")?,
                '\0'..='\x1f' | '\x7f' => write!(formatter, "\\{:02X}", u32::from(c))?,
                _ => write!(formatter, "{c}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of types and values.
    type Parts = &'static [&'static [(&'static str, &'static str)]];

    fn name(parts: Parts) -> DistinguishedName {
        let attribute = |(kind, value): &(&str, &str)| Attribute {
            kind: (*kind).to_owned(),
            value: (*value).to_owned(),
        };
        let part = |part: &&[(&str, &str)]| part.iter().map(attribute).collect();
        DistinguishedName::new(parts.iter().map(part).collect()).unwrap()
    }

    #[test]
    fn the_spellings_of_one_name_are_equal() {
        const CN: &str = "2.5.4.3";
        let spellings: [(&str, Parts); 10] = [
            ("CN=agent", &[&[(CN, "agent")]]),
            ("cn=agent", &[&[(CN, "agent")]]),
            ("2.5.4.3=agent", &[&[(CN, "agent")]]),
            ("CN=a\\,b\\2Bc\\ ", &[&[(CN, "a,b+c ")]]),
            ("CN=", &[&[(CN, "")]]),
            ("CN=M\\C3\\BCller", &[&[(CN, "Müller")]]),
            ("CN=Müller", &[&[(CN, "Müller")]]),
            ("CN=a b=c #d", &[&[(CN, "a b=c #d")]]),
            ("CN=x\\00", &[&[(CN, "x\0")]]),
            (
                "CN=agent,OU=b+O=a",
                &[&[(CN, "agent")], &[("2.5.4.10", "a"), ("2.5.4.11", "b")]],
            ),
        ];
        for (text, parts) in spellings {
            let read = DistinguishedName::parse(text).unwrap();
            assert_eq!(read, name(parts), "{text}");
            assert_eq!(DistinguishedName::parse(&read.to_string()), Ok(read));
        }
    }

    #[test]
    fn what_differs_in_case_order_or_number_of_parts_is_another_name() {
        let parse = |text| DistinguishedName::parse(text).unwrap();
        let own = parse("CN=agent,O=Example");
        for other in [
            "CN=Agent,O=Example",
            "CN=agent",
            "O=Example,CN=agent",
            "CN=agent+O=Example",
            "CN=agent\\,O=Example",
            "CN=agent,O=Example,C=DE",
            "CN=agent\\ ,O=Example",
            "OU=agent,O=Example",
        ] {
            assert_ne!(parse(other), own, "{other}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "agent",
            "CN",
            "=x",
            "CN=a,",
            "CN=a+",
            "CN=a, O=b",
            "CN=a ,O=b",
            "CN=a ",
            "CN= a",
            "CN=#0c0161",
            "CN=a;O=b",
            "CN=\"a\"",
            "CN=a\\",
            "CN=a\\4",
            "CN=a\\zz",
            "CN=\\ff",
            "NICKNAME=a",
            "2=a",
            "2.05.4=a",
            "2..4=a",
            "/CN=a",
        ] {
            assert_eq!(
                DistinguishedName::parse(text),
                Err(DistinguishedNameError),
                "{text}"
            );
        }
    }
}
