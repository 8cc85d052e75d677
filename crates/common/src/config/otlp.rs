//! `[otlp]`: where spans are sent.

use http::{HeaderName, HeaderValue};
use toml::Value;
use url::Url;

use super::raw::Raw;
use super::values;

/// The collector of spans.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// Its address without `/v1/traces` and without a trailing slash.
    pub endpoint: String,
    /// Headers of every request to it; their values are secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Which part of the traces that begin here is sent, from 0 to 1.
    pub sample_ratio: f64,
}

/// Reads the section; without an endpoint nothing is sent.
pub(super) fn load(raw: &mut Raw<'_>) -> Option<OtlpConfig> {
    let endpoint = raw.optional("otlp", "endpoint", endpoint);
    let headers = raw.optional("otlp", "headers", headers);
    let sample_ratio = raw.value("otlp", "sample_ratio", 1.0, ratio);
    Some(OtlpConfig {
        endpoint: endpoint?,
        headers: headers.unwrap_or_default(),
        sample_ratio,
    })
}

fn endpoint(value: &Value) -> values::Parsed<String> {
    let text = values::internal_url(value)?;
    let url = Url::parse(&text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave out the user; [otlp] headers is the place for secrets".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("leave out query and fragment".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// `name=value`, separated by commas. What is wrong is said without the value.
fn headers(value: &Value) -> values::Parsed<Vec<(HeaderName, HeaderValue)>> {
    let header = |pair: String| {
        let wrong = || "write headers as name=value, separated by commas".to_owned();
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value.trim()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    values::list(value)?.into_iter().map(header).collect()
}

fn ratio(value: &Value) -> values::Parsed<f64> {
    let number = match value {
        Value::Float(number) => Some(*number),
        Value::Integer(0) => Some(0.0),
        Value::Integer(1) => Some(1.0),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| "write a number from 0 to 1, such as 0.1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn headers_are_pairs_whose_values_are_never_shown() {
        let read = headers(&value("Authorization=Basic eHl6==, x-scope=a")).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].1, "Basic eHl6==");
        assert!(!format!("{read:?}").contains("eHl6"), "{read:?}");
        for wrong in ["canary", "a b=canary", "x=canary\n"] {
            let error = headers(&value(&format!("{wrong},y=1"))).err();
            assert!(error.is_none_or(|text| !text.contains("canary")), "{wrong}");
        }
        assert!(headers(&value("no pair")).is_err());
    }

    #[test]
    fn the_collector_is_an_address_without_secrets_and_the_ratio_a_part_of_one() {
        assert_eq!(
            endpoint(&value("http://collector:4318/")),
            Ok("http://collector:4318".to_owned())
        );
        for wrong in [
            "collector:4318",
            "ftp://x",
            "http://u:p@x",
            "http://x?key=1",
        ] {
            assert!(endpoint(&value(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(ratio(&value("0.25")), Ok(0.25));
        for wrong in ["2", "-1", "NaN", "much"] {
            assert!(ratio(&value(wrong)).is_err(), "{wrong}");
        }
    }
}
