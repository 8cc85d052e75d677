//! Finding the one bearer token of a request.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// RFC 6750 §2.1
const SCHEME: &[u8] = b"bearer";

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BearerError {
    /// No `Authorization` header, another scheme, or no credentials after the scheme.
    Absent,
    /// More than one credential.
    Several,
}

/// The token in the `Authorization` header (RFC 6750 §2.1). Tokens in the query or in a form are
/// not looked at: MCP forbids the first and we do not offer the second.
pub(super) fn find(headers: &HeaderMap) -> Result<&str, BearerError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), rest) = (values.next(), values.next()) else {
        return Err(BearerError::Absent);
    };
    // OAuth 2.1 §5.3.2: more than one way of giving a token is `invalid_request`.
    if rest.is_some() {
        return Err(BearerError::Several);
    }
    // RFC 9110 §11.1: schemes are compared without regard to case; RFC 9110 §11.4: 1*SP follows.
    let (scheme, token) = value
        .as_bytes()
        .split_at_checked(SCHEME.len())
        .ok_or(BearerError::Absent)?;
    let text = str::from_utf8(token).map_err(|_| BearerError::Absent)?;
    let token = text.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case(SCHEME) || !text.starts_with(' ') || token.is_empty() {
        return Err(BearerError::Absent);
    }
    if !token.is_ascii() {
        return Err(BearerError::Absent);
    }
    // A token is long: searching bytes is many times faster than looking at each character.
    if token.as_bytes().contains(&b' ') || token.as_bytes().contains(&b',') {
        return Err(BearerError::Several);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], expected: Result<&str, BearerError>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        assert_eq!(find(&headers), expected, "{values:?}");
    }

    #[test]
    fn exactly_one_bearer_token_is_found_whatever_the_case_of_the_scheme() {
        check(&["Bearer abc"], Ok("abc"));
        check(&["bEaReR    abc"], Ok("abc"));
        check(&[], Err(BearerError::Absent));
        check(&["Basic abc"], Err(BearerError::Absent));
        check(&["Bearer"], Err(BearerError::Absent));
        check(&["Bearer "], Err(BearerError::Absent));
        check(&["Bearerabc"], Err(BearerError::Absent));
        check(&["Bea"], Err(BearerError::Absent));
        check(&["Bearer \u{e4}bc"], Err(BearerError::Absent));
        check(&["Bearer a", "Bearer b"], Err(BearerError::Several));
        check(&["Bearer a, Bearer b"], Err(BearerError::Several));
    }
}
