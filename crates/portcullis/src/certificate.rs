//! When a certificate ends and whose it is (RFC 5280 §4.1): the only things that are read of it.
//! Whether it is valid is decided by TLS libraries.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use portcullis_common::clock::Timestamp;
use portcullis_common::distinguished_name::{Attribute, DistinguishedName};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
/// `NumericString`, `PrintableString` and `IA5String`: parts of ASCII.
const ASCII_STRINGS: [u8; 3] = [0x12, 0x13, 0x16];
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which old certificates do not have.
const VERSION: u8 = 0xa0;

/// The last moment at which this certificate in DER is valid; `None` if it cannot be read.
pub(crate) fn end_of(der: &[u8]) -> Option<Timestamp> {
    let (validity, _) = validity_of(der)?;
    let (_, _, rest) = element(validity)?; // not before
    let (kind, text, _) = element(rest)?;
    time(kind, std::str::from_utf8(text).ok()?)
}

/// The subject of this certificate in DER; `None` if it cannot be read, is empty, or has a value
/// that is neither UTF-8 nor ASCII (RFC 5280 §4.1.2.4 wants no others).
pub(crate) fn subject_of(der: &[u8]) -> Option<DistinguishedName> {
    let (_, rest) = validity_of(der)?;
    let (mut subject, _) = expect(rest, SEQUENCE)?;
    let mut parts = Vec::new();
    while !subject.is_empty() {
        let (mut set, rest) = expect(subject, SET)?;
        let mut part = Vec::new();
        while !set.is_empty() {
            let (attribute, others) = expect(set, SEQUENCE)?;
            part.push(attribute_of(attribute)?);
            set = others;
        }
        parts.push(part);
        subject = rest;
    }
    // RFC 4514 §2.1: text begins with the last part.
    parts.reverse();
    DistinguishedName::new(parts)
}

fn attribute_of(der: &[u8]) -> Option<Attribute> {
    let (kind, rest) = expect(der, OBJECT_IDENTIFIER)?;
    let (form, value, rest) = element(rest)?;
    let is_text = form == UTF8_STRING || ASCII_STRINGS.contains(&form) && value.is_ascii();
    (is_text && rest.is_empty()).then_some(())?;
    Some(Attribute {
        kind: dotted(kind)?,
        value: std::str::from_utf8(value).ok()?.to_owned(),
    })
}

/// An object identifier as text (X.690 §8.19): numbers in base 128, the first two in one.
fn dotted(der: &[u8]) -> Option<String> {
    let mut arcs = Vec::new();
    let mut arc = Some(0_u64);
    for byte in der {
        let digit = u64::from(byte & 0x7f);
        let sum = arc.unwrap_or_default().checked_mul(128)?;
        arc = Some(sum.checked_add(digit)?);
        if byte & 0x80 == 0 {
            arcs.extend(arc.take());
        }
    }
    let (first, rest) = arcs.split_first().filter(|_| arc.is_none())?;
    let root = (first / 40).min(2);
    let arcs = [root, first - 40 * root]
        .into_iter()
        .chain(rest.iter().copied());
    Some(
        arcs.map(|arc| arc.to_string())
            .collect::<Vec<_>>()
            .join("."),
    )
}

/// The content of the validity of this certificate in DER, and what follows it.
fn validity_of(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (to_be_signed, _) = expect(certificate, SEQUENCE)?;
    let rest = match element(to_be_signed)? {
        (VERSION, _, rest) => rest,
        _ => to_be_signed,
    };
    let (_, _, rest) = element(rest)?; // serial number
    let (_, _, rest) = element(rest)?; // signature algorithm
    let (_, _, rest) = element(rest)?; // issuer
    expect(rest, SEQUENCE)
}

fn time(kind: u8, text: &str) -> Option<Timestamp> {
    let whole = match kind {
        GENERALIZED_TIME => text.to_owned(),
        // RFC 5280 §4.1.2.5.1: two digits of the year stand for 1950 to 2049.
        UTC_TIME if text < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        _ => return None,
    };
    let moment = DateTime::strptime("%Y%m%d%H%M%SZ", whole).ok()?;
    let moment = moment.to_zoned(TimeZone::UTC).ok()?;
    Some(Timestamp::from_seconds(moment.timestamp().as_second()))
}

/// The content of the first element, which must be of this kind, and what follows it.
fn expect(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    element(der)
        .filter(|(own, _, _)| *own == kind)
        .map(|(_, content, rest)| (content, rest))
}

/// The first element: its kind, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        // X.690 §8.1.3: a short length stands for itself, a long one says how many bytes it has.
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let add = |sum: usize, digit: &u8| (sum << 8) | usize::from(*digit);
            (digits.iter().fold(0, add), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*kind, content, rest))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Made for this test; it ends on 2036-11-18 at 04:33:25.
    const CERTIFICATE: &str = "MIIBgjCCASegAwIBAgIUcU2KzFDQwcYMGR43cDMnERzEGJwwCgYIKoZIzj0EAwIwFjEUMBIGA1UEAwwLZG9jdG9yLnRlc3QwHhcNMjYxMTIxMDQzMzI1WhcNMzYxMTE4MDQzMzI1WjAWMRQwEgYDVQQDDAtkb2N0b3IudGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABH7K7EjPEMIdYQ/Th+96aghDaVqBeABna1A7TxTDV5/bHEPuoivSLB4a7dFW8UtPVoKzYeUoPaKQCgbJERDh4sKjUzBRMB0GA1UdDgQWBBQYQm/NnD93IjRwqvx12fraWOaQlzAfBgNVHSMEGDAWgBQYQm/NnD93IjRwqvx12fraWOaQlzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQD+7LBS/fyl1H5urPihq3DNivPp138kayy3kUt+sHgWZgIhAPz8wQPMJhi5MpfVDQ0w92PRJLCxaczKPgAcnI7fJvUp";

    #[test]
    fn the_end_and_the_subject_of_a_certificate_are_read_and_nothing_breaks_on_parts_of_one() {
        let der = STANDARD.decode(CERTIFICATE).unwrap();
        assert_eq!(end_of(&der).map(Timestamp::seconds), Some(2_110_595_605));
        let subject = DistinguishedName::parse("CN=doctor.test").ok();
        assert!(subject.is_some());
        assert_eq!(subject_of(&der), subject);
        for length in 0..der.len() {
            assert_eq!(end_of(&der[..length]), None, "{length}");
            assert_eq!(subject_of(&der[..length]), None, "{length}");
        }
    }

    #[test]
    fn object_identifiers_of_every_length_are_read_and_broken_ones_are_not() {
        assert_eq!(dotted(&[0x55, 4, 3]).unwrap(), "2.5.4.3");
        let pilot = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
        assert_eq!(dotted(&pilot).unwrap(), "0.9.2342.19200300.100.1.25");
        let email = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
        assert_eq!(dotted(&email).unwrap(), "1.2.840.113549.1.9.1");
        assert_eq!(dotted(&[0x88, 0x37]).unwrap(), "2.999");
        for broken in [&[][..], &[0x55, 0x84], &[0xff; 10]] {
            assert_eq!(dotted(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn both_spellings_of_a_moment_are_read() {
        let seconds = |kind, text| time(kind, text).map(Timestamp::seconds);
        assert_eq!(seconds(UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(
            seconds(GENERALIZED_TIME, "20500101000000Z"),
            Some(2_524_608_000)
        );
        assert_eq!(seconds(UTC_TIME, "7001010000Z"), None);
    }
}
