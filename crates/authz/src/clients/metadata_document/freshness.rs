//! For how long a document is remembered (RFC 9111 §4.2, §5.2.2).

use std::time::{Duration, SystemTime};

use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES};
use http::{HeaderMap, HeaderName};
use portcullis_common::clock::Timestamp;

/// What the answer says, within bounds; `None` if it must not be kept at all. Who says nothing, or
/// wants to be asked every time, is asked after the shortest time: otherwise one client could make
/// us fetch at every step of every login.
pub(super) fn lifetime(
    headers: &HeaderMap,
    now: Timestamp,
    (shortest, longest): (Duration, Duration),
) -> Option<Duration> {
    let directives = Directives::read(headers);
    if directives.is_no_store {
        return None;
    }
    let stated = if directives.is_no_cache {
        0
    } else {
        directives
            .max_age
            .or_else(|| expires_in(headers, now))
            .unwrap_or(0)
    };
    // RFC 9111 §4.2.3: what it lived in other caches is over.
    let age = text(headers, &AGE).and_then(seconds).unwrap_or(0);
    let left = Duration::from_secs(stated.saturating_sub(age));
    Some(left.clamp(shortest, longest))
}

#[derive(Debug, Default)]
struct Directives {
    is_no_store: bool,
    is_no_cache: bool,
    max_age: Option<u64>,
}

impl Directives {
    /// Names count in any case. Of two ages the smaller one counts, and one that cannot be read is
    /// none (RFC 9111 §4.2.1).
    fn read(headers: &HeaderMap) -> Self {
        let mut read = Self::default();
        let lines = headers.get_all(CACHE_CONTROL).iter();
        let directives = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        for directive in directives {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" => read.is_no_store = true,
                "no-cache" => read.is_no_cache = true,
                "max-age" => {
                    let age = seconds(value.trim().trim_matches('"')).unwrap_or(0);
                    read.max_age = Some(read.max_age.map_or(age, |other| other.min(age)));
                }
                _ => {}
            }
        }
        read
    }
}

/// RFC 9111 §5.3: a date that cannot be read is over.
fn expires_in(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let expires = date(text(headers, &EXPIRES)?).unwrap_or(0);
    let sent = text(headers, &DATE)
        .and_then(date)
        .unwrap_or_else(|| u64::try_from(now.seconds()).unwrap_or(0));
    Some(expires.saturating_sub(sent))
}

/// Digits alone; more than we can count are very many (RFC 9111 §1.2.2).
fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

fn date(text: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const HOUR: u64 = 3600;

    /// The bounds are 30 s and a day.
    fn check(headers: &[(&'static str, &'static str)], expected: Option<u64>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = Timestamp::from_seconds(784_111_777);
        let bounds = (Duration::from_secs(30), Duration::from_secs(24 * HOUR));
        let found = lifetime(&map, now, bounds);
        assert_eq!(found.map(|found| found.as_secs()), expected, "{headers:?}");
    }

    #[test]
    fn what_the_answer_says_counts_within_the_bounds() {
        check(&[], Some(30));
        check(&[("cache-control", "max-age=3600")], Some(HOUR));
        check(&[("cache-control", "public, MAX-AGE=3600")], Some(HOUR));
        check(&[("cache-control", "max-age=\"3600\"")], Some(HOUR));
        check(&[("cache-control", "max-age=0")], Some(30));
        check(&[("cache-control", "max-age=31536000")], Some(24 * HOUR));
        check(
            &[("cache-control", "max-age=99999999999999999999999")],
            Some(24 * HOUR),
        );
        check(&[("cache-control", "max-age=-1")], Some(30));
        check(&[("cache-control", "max-age=soon")], Some(30));
        check(
            &[("cache-control", "max-age=7200, max-age=3600")],
            Some(HOUR),
        );
        check(&[("cache-control", "no-cache, max-age=3600")], Some(30));
        check(
            &[("cache-control", "max-age=3600"), ("age", "1000")],
            Some(2600),
        );
        check(
            &[("cache-control", "max-age=3600"), ("age", "9999")],
            Some(30),
        );
    }

    #[test]
    fn no_store_is_obeyed_wherever_it_stands() {
        check(&[("cache-control", "no-store")], None);
        check(&[("cache-control", "max-age=3600, No-Store")], None);
        check(
            &[
                ("cache-control", "max-age=3600"),
                ("cache-control", "no-store"),
            ],
            None,
        );
    }

    #[test]
    fn an_end_by_date_counts_where_no_age_is_said() {
        const EXPIRES: (&str, &str) = ("expires", "Sun, 06 Nov 1994 09:49:37 GMT");
        check(&[EXPIRES], Some(HOUR));
        check(
            &[EXPIRES, ("date", "Sun, 06 Nov 1994 09:19:37 GMT")],
            Some(1800),
        );
        check(&[EXPIRES, ("cache-control", "max-age=60")], Some(60));
        check(&[("expires", "0")], Some(30));
        check(&[("expires", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(30));
    }
}
