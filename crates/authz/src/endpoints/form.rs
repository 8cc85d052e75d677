//! The body of a machine endpoint: one urlencoded form of bounded size, without repetitions.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

/// Largest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Most parameters; a known request has fewer than twenty.
const MAX_PARAMETERS: usize = 100;
/// Parameters that may stand more than once (RFC 8707 §2).
const REPEATABLE: [&str; 1] = ["resource"];

/// Why a body is not a form that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    #[error("parameters stand in the query")]
    InQuery,
    #[error("the content type is not application/x-www-form-urlencoded")]
    NotAForm,
    #[error("the body is larger than 64 KiB")]
    TooLarge,
    #[error("the body ended early")]
    Interrupted,
    #[error("a percent form or the UTF-8 of the body is broken")]
    Malformed,
    #[error("the body has more than 100 parameters")]
    TooManyParameters,
    #[error("a parameter is repeated")]
    Repeated,
}

/// Takes a request that must be a form apart, and reads its body.
pub(crate) async fn read(request: Request) -> Result<(Parts, Bytes), FormError> {
    let (head, body) = request.into_parts();
    let body = read_body(&head, body).await?;
    Ok((head, body))
}

/// Reads the body of a request that must be a form. Nothing is taken from the query, where
/// proxies and logs would see it.
pub(crate) async fn read_body(head: &Parts, body: Body) -> Result<Bytes, FormError> {
    // OAuth 2.1 §2.4.1: credentials must not stand in the request URI.
    if head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(FormError::InQuery);
    }
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let is_form = types
        .next()
        .is_some_and(|value| is_form_type(value.as_bytes()));
    if !is_form || types.next().is_some() {
        return Err(FormError::NotAForm);
    }
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(FormError::TooLarge),
        Err(_) => Err(FormError::Interrupted),
    }
}

/// Parameters such as `charset` are allowed and mean nothing: a form is UTF-8.
fn is_form_type(value: &[u8]) -> bool {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// A form whose parameters are decoded.
#[derive(Debug)]
pub(crate) struct Form<'a> {
    parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Names that stand more than once and may not.
    repeated: Vec<Cow<'a, str>>,
}

impl<'a> Form<'a> {
    /// Decodes a body in which no parameter is repeated.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, FormError> {
        let form = Self::parse_repetitions(body)?;
        // OAuth 2.1 §3.2: parameters must not be included more than once.
        if form.repeated.is_empty() {
            Ok(form)
        } else {
            Err(FormError::Repeated)
        }
    }

    /// Decodes a body or a query, and leaves repetitions to be judged one by one: where an error
    /// goes depends on which parameter is repeated.
    pub(crate) fn parse_repetitions(body: &'a [u8]) -> Result<Self, FormError> {
        let mut parameters: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::with_capacity(8);
        let mut repeated = Vec::new();
        for pair in body
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || decode(halves.next().unwrap_or_default()).ok_or(FormError::Malformed);
            let (name, value) = (half()?, half()?);
            if !REPEATABLE.contains(&name.as_ref())
                && parameters.iter().any(|(one, _)| *one == name)
            {
                repeated.push(name.clone());
            }
            if parameters.len() == MAX_PARAMETERS {
                return Err(FormError::TooManyParameters);
            }
            parameters.push((name, value));
        }
        Ok(Self {
            parameters,
            repeated,
        })
    }

    /// Whether a parameter stands more than once although it may not.
    pub(crate) fn is_repeated(&self, name: &str) -> bool {
        self.repeated.iter().any(|one| one == name)
    }

    /// The value of a parameter; one without a value counts as absent (OAuth 2.1 §3.2).
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a parameter that may be repeated, in their order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.parameters
            .iter()
            .filter(move |(own, value)| own == name && !value.is_empty())
            .map(|(_, value)| value.as_ref())
    }
}

/// Decodes `application/x-www-form-urlencoded` text: `+` is a space, `%` begins two hexadecimal
/// digits, the result is UTF-8; `None` if any of it is broken. Borrows where nothing is encoded.
pub(crate) fn decode(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(*bytes.next()?)? << 4 | hex_digit(*bytes.next()?)?,
            other => *other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &str, expected: Result<&[(&str, &str)], FormError>) {
        let parsed = Form::parse(body.as_bytes()).map(|form| form.parameters);
        let expected = expected.map(|pairs| {
            pairs
                .iter()
                .map(|(name, value)| (Cow::from(*name), Cow::from(*value)))
                .collect::<Vec<_>>()
        });
        assert_eq!(parsed, expected, "{body}");
    }

    #[test]
    fn a_form_is_decoded_once() {
        check("a=b&c=d+e%20f", Ok(&[("a", "b"), ("c", "d e f")]));
        check("a=%2525", Ok(&[("a", "%25")]));
        check("a=b=c", Ok(&[("a", "b=c")]));
        check("", Ok(&[]));
        check("&&a&", Ok(&[("a", "")]));
        check("%61=1", Ok(&[("a", "1")]));
        check("a=ä%C3%A4", Ok(&[("a", "ää")]));
    }

    #[test]
    fn broken_forms_are_refused() {
        for broken in ["a=%", "a=%4", "a=%zz", "a=%ff", "%c3=1", "a=%+1"] {
            check(broken, Err(FormError::Malformed));
        }
        assert_eq!(Form::parse(b"a=\xff").unwrap_err(), FormError::Malformed);
    }

    #[test]
    fn a_repeated_parameter_is_refused_however_it_is_written_and_resource_is_not() {
        for repeated in ["a=1&a=1", "a=1&%61=2", "a=&a=1", "a&a"] {
            check(repeated, Err(FormError::Repeated));
        }
        let form = Form::parse(b"resource=x&resource=&resource=y").unwrap();
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
        let many: Vec<_> = (0..=MAX_PARAMETERS)
            .map(|number| number.to_string())
            .collect();
        check(&many.join("&"), Err(FormError::TooManyParameters));
    }

    #[test]
    fn a_parameter_without_a_value_is_absent() {
        let form = Form::parse(b"a=&b").unwrap();
        assert_eq!((form.find("a"), form.find("b")), (None, None));
    }

    #[test]
    fn the_content_type_may_have_parameters_and_any_case() {
        for right in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded ; charset=UTF-8",
        ] {
            assert!(is_form_type(right.as_bytes()), "{right}");
        }
        for wrong in ["", "application/json", "application/x-www-form-urlencodedx"] {
            assert!(!is_form_type(wrong.as_bytes()), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_never_worse(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Form::parse(&body);
        }

        #[test]
        fn what_an_encoder_writes_is_read_back(pairs in proptest::collection::btree_map(".{1,9}", ".{0,9}", 0..9)) {
            let body = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&pairs)
                .finish();
            let form = Form::parse(body.as_bytes()).unwrap();
            let read: std::collections::BTreeMap<_, _> = form
                .parameters
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            prop_assert_eq!(read, pairs);
        }
    }
}
