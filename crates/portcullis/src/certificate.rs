//! When a certificate ends (RFC 5280 §4.1): the only thing that is read of it. Whether it is valid
//! is decided by TLS libraries.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use portcullis_common::clock::Timestamp;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which old certificates do not have.
const VERSION: u8 = 0xa0;

/// The last moment at which this certificate in DER is valid; `None` if it cannot be read.
pub(crate) fn end_of(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (to_be_signed, _) = expect(certificate, SEQUENCE)?;
    let rest = match element(to_be_signed)? {
        (VERSION, _, rest) => rest,
        _ => to_be_signed,
    };
    let (_, _, rest) = element(rest)?; // serial number
    let (_, _, rest) = element(rest)?; // signature algorithm
    let (_, _, rest) = element(rest)?; // issuer
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?; // not before
    let (kind, text, _) = element(rest)?;
    time(kind, std::str::from_utf8(text).ok()?)
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
    fn the_end_of_a_certificate_is_read_and_nothing_breaks_on_parts_of_one() {
        let der = STANDARD.decode(CERTIFICATE).unwrap();
        assert_eq!(end_of(&der).map(Timestamp::seconds), Some(2_110_595_605));
        for length in 0..der.len() {
            assert_eq!(end_of(&der[..length]), None, "{length}");
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
