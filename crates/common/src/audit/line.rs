//! A record as one line: JSON in ASCII, whatever stands in it.

use std::fmt::Write as _;

use super::record::{Actor, AuditRecord, Outcome};

/// What stands in every line of a process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) role: &'static str,
    pub(super) issuer: Option<String>,
}

/// Adds a record and the end of its line to a page.
pub(super) fn print(page: &mut String, record: &AuditRecord, process: &Process) {
    page.push_str("{\"time\":\"");
    print_time(page, record.at);
    page.push('"');
    member(page, "event", Some(record.event.name()));
    let (result, reason) = match record.outcome {
        Outcome::Ok => ("ok", None),
        Outcome::Refused(reason) => ("refused", Some(reason)),
        Outcome::Failed(reason) => ("failed", Some(reason)),
    };
    member(page, "result", Some(result));
    member(page, "reason", reason);
    print_actor(page, record);
    member(page, "client", record.client.as_deref());
    member(page, "subject", record.subject.as_deref());
    member(page, "username", record.username.as_deref());
    let issuer = record.issuer.as_deref().or(process.issuer.as_deref());
    member(page, "issuer", issuer);
    if let Some(source) = record.source {
        let _infallible = write!(page, ",\"source\":\"{source}\"");
    }
    member(page, "target", record.target.as_deref());
    member(page, "grant_type", record.grant_type);
    member(page, "scope", record.scope.as_deref());
    member(page, "grant", record.grant.as_deref());
    member(page, "correlation_id", record.correlation.as_deref());
    if let Some(lost) = record.lost {
        let _infallible = write!(page, ",\"lost\":{lost}");
    }
    member(page, "role", Some(process.role));
    page.push_str("}\n");
}

fn print_actor(page: &mut String, record: &AuditRecord) {
    let (kind, id) = match record.actor {
        Actor::Subject => ("user:", record.subject.as_deref()),
        Actor::Client => ("client:", record.client.as_deref()),
        Actor::Nobody => ("nobody", None),
        Actor::Server => ("server", None),
        Actor::Operator(Some(uid)) => {
            let _infallible = write!(page, ",\"actor\":\"operator:{uid}\"");
            return;
        }
        Actor::Operator(None) => ("operator", None),
    };
    page.push_str(",\"actor\":\"");
    page.push_str(kind);
    escape(page, id.unwrap_or_default());
    page.push('"');
}

/// A member is left out where nothing is known.
fn member(page: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    page.push_str(",\"");
    page.push_str(name);
    page.push_str("\":\"");
    escape(page, value);
    page.push('"');
}

/// Everything but plain ASCII becomes `\uXXXX`: no control character, no escape sequence of a
/// terminal, no line end of Unicode and no mark of direction reaches whoever reads the file.
fn escape(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '"' | '\\' => page.extend(['\\', character]),
            ' '..='~' => page.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _infallible = write!(page, "\\u{unit:04x}");
                }
            }
        }
    }
}

/// RFC 3339 §5.6, in UTC, with milliseconds.
fn print_time(page: &mut String, millis: i64) {
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hours, minutes) = (rest / 3_600_000, rest / 60_000 % 60);
    let (seconds, millis) = (rest / 1000 % 60, rest % 1000);
    let _infallible = write!(
        page,
        "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z"
    );
}

/// The date in the Gregorian calendar. Years begin in March here, so that the leap day comes last.
const fn civil(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153; // March is 0
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(millis: i64, expected: &str) {
        let mut page = String::new();
        print_time(&mut page, millis);
        assert_eq!(page, expected);
    }

    #[test]
    fn a_time_is_printed_as_rfc_3339_has_it() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399_999, "2000-02-28T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_800_000_000_042, "2027-01-15T08:00:00.042Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn whatever_stands_in_a_text_the_line_is_one_line_of_plain_json() {
        let hostile = "a\"\\\r\n\t\u{1b}[31m\u{7f}\u{9b}\u{2028}\u{2029}\u{202e}é😀";
        let mut page = String::new();
        escape(&mut page, hostile);
        assert!(
            page.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{page}"
        );
        let read: String = serde_json::from_str(&format!("\"{page}\"")).unwrap();
        assert_eq!(read, hostile);
    }
}
