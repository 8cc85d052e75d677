//! From the text of a value to its type. Every refusal says what would be right.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use toml::Value;
use url::Url;

use crate::audit::AuditSink;
use crate::client_certificate::CertificateHeaders;
use crate::distinguished_name::DistinguishedName;
use crate::issuer::{Issuer, is_https_or_loopback};
use crate::redis::RedisUrl;
use crate::resource_indicator::ResourceIndicator;
use crate::scope::{Scope, ScopeToken};

pub(super) type Parsed<T> = Result<T, String>;

pub(super) fn text(value: &Value) -> Parsed<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err("write it as a string in quotes".to_owned()),
    }
}

/// A list of strings; from the environment, separated by commas.
pub(super) fn list(value: &Value) -> Parsed<Vec<String>> {
    match value {
        Value::String(text) => Ok(text
            .split(',')
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()),
        Value::Array(items) => items.iter().map(text).collect(),
        _ => Err("write it as a list of strings".to_owned()),
    }
}

/// The subject of a certificate.
pub(super) fn distinguished_name(value: &Value) -> Parsed<DistinguishedName> {
    DistinguishedName::parse(&text(value)?).map_err(|error| error.to_string())
}

/// The names of the two headers of a front.
pub(super) fn certificate_headers(value: &Value) -> Parsed<CertificateHeaders> {
    CertificateHeaders::parse(&list(value)?).map_err(|error| error.to_string())
}

/// A file, or `stdout`.
pub(super) fn audit_sink(value: &Value) -> Parsed<AuditSink> {
    match text(value)?.as_str() {
        "" => Err("name a file, or write stdout".to_owned()),
        "stdout" => Ok(AuditSink::Stdout),
        path => Ok(AuditSink::File(path.into())),
    }
}

pub(super) fn number(value: &Value) -> Parsed<u32> {
    let number = match value {
        Value::Integer(number) => u32::try_from(*number).ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| "write a whole number".to_owned())
}

pub(super) fn size(value: &Value) -> Parsed<usize> {
    number(value).map(|number| number as usize)
}

pub(super) fn boolean(value: &Value) -> Parsed<bool> {
    match value {
        Value::Boolean(value) => Ok(*value),
        _ => Err("write true or false".to_owned()),
    }
}

/// `on` or `off`.
pub(super) fn switch(value: &Value) -> Parsed<bool> {
    choice(value, &[("on", true), ("off", false)])
}

/// One of the given words.
pub(super) fn choice<T: Copy>(value: &Value, words: &[(&str, T)]) -> Parsed<T> {
    let given = text(value)?;
    words
        .iter()
        .find(|(word, _)| *word == given)
        .map(|(_, choice)| *choice)
        .ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("write one of: {}", known.join(", "))
        })
}

pub(super) fn duration(value: &Value) -> Parsed<Duration> {
    parse_duration(&text(value)?)
}

/// Reads a duration as the configuration writes it: a whole number and a unit, such as `30s`, `10m`,
/// `12h` or `90d`; at least a second. The error says what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit, such as 30s, 10m, 12h or 90d".to_owned();
    let unit = text
        .char_indices()
        .next_back()
        .map(|(position, _)| text.split_at(position));
    let (digits, unit) = unit.ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = digits
        .parse()
        .ok()
        .filter(|_| is_number)
        .ok_or_else(wrong)?;
    match count
        .checked_mul(seconds)
        .filter(|total| *total <= 100 * 365 * 86_400)
    {
        Some(0) => Err("it must be at least a second".to_owned()),
        Some(total) => Ok(Duration::from_secs(total)),
        None => Err("it must be at most a hundred years".to_owned()),
    }
}

pub(super) fn address(value: &Value) -> Parsed<SocketAddr> {
    text(value)?
        .parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080".to_owned())
}

/// Networks; a single address is a network of one.
pub(super) fn networks(value: &Value) -> Parsed<Vec<IpNet>> {
    list(value)?
        .iter()
        .map(|text| {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| format!("{text} is not an address or a network such as 10.0.0.0/8"))
        })
        .collect()
}

pub(super) fn scope(value: &Value) -> Parsed<Scope> {
    list(value)?
        .iter()
        .flat_map(|part| part.split(' ').filter(|token| !token.is_empty()))
        .map(|token| ScopeToken::parse(token).map_err(|error| format!("{token}: {error}")))
        .collect()
}

pub(super) fn issuer(value: &Value) -> Parsed<Issuer> {
    Issuer::parse(&text(value)?).map_err(|error| error.to_string())
}

pub(super) fn issuers(value: &Value) -> Parsed<Vec<Issuer>> {
    list(value)?
        .iter()
        .map(|text| Issuer::parse(text).map_err(|error| format!("{text}: {error}")))
        .collect()
}

pub(super) fn resource(value: &Value) -> Parsed<ResourceIndicator> {
    ResourceIndicator::parse(&text(value)?).map_err(|error| error.to_string())
}

pub(super) fn resources(value: &Value) -> Parsed<Vec<ResourceIndicator>> {
    list(value)?
        .iter()
        .map(|text| ResourceIndicator::parse(text).map_err(|error| format!("{text}: {error}")))
        .collect()
}

/// An https URL, or http on loopback, without query and fragment; no trailing slash is kept.
pub(super) fn public_url(value: &Value) -> Parsed<String> {
    let text = text(value)?;
    let url = Url::parse(&text).map_err(|_| "write an absolute URL".to_owned())?;
    if !is_https_or_loopback(&url) {
        return Err("use https; http is accepted for loopback hosts only".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("leave out query, fragment and user".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Where Redis is. The refusal does not repeat the value, which may hold a password.
pub(super) fn redis(value: &Value) -> Parsed<RedisUrl> {
    RedisUrl::parse(&text(value)?).map_err(|error| error.to_string())
}

/// An http or https URL that only our own servers use.
pub(super) fn internal_url(value: &Value) -> Parsed<String> {
    let text = text(value)?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(text),
        _ => Err("write an absolute http or https URL".to_owned()),
    }
}

/// Web origins: scheme, host and port, nothing after them.
pub(super) fn origins(value: &Value) -> Parsed<Vec<String>> {
    list(value)?
        .into_iter()
        .map(|text| match Url::parse(&text) {
            Ok(url) if url.origin().ascii_serialization() == text => Ok(text),
            _ => Err(format!(
                "{text} is not an origin such as https://app.example.com"
            )),
        })
        .collect()
}

/// Hosts, as `host` or `host:port`, in lower case.
pub(super) fn hosts(value: &Value) -> Parsed<Vec<String>> {
    list(value)?
        .into_iter()
        .map(|text| match Url::parse(&format!("http://{text}/")) {
            Ok(url) if url.path() == "/" && url.username().is_empty() && !text.contains('/') => {
                Ok(text.to_ascii_lowercase())
            }
            _ => Err(format!(
                "{text} is not a host such as mcp.example.com or localhost:8080"
            )),
        })
        .collect()
}

/// Words that stand in examples and must never protect anything.
const PLACEHOLDERS: [&str; 12] = [
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "your-secret",
    "your_secret",
    "yoursecret",
    "replace-me",
    "replaceme",
    "secret",
    "password",
    "admin",
];

/// A secret: not empty, and not a placeholder.
pub(super) fn secret(value: &Value) -> Parsed<String> {
    let text = text(value)?.trim().to_owned();
    let lower = text.to_ascii_lowercase();
    let is_placeholder = PLACEHOLDERS.iter().enumerate().any(|(position, word)| {
        // The first nine give themselves away anywhere; the last three are also parts of words.
        if position < 9 {
            lower.contains(word)
        } else {
            lower == *word
        }
    });
    if text.is_empty() || is_placeholder {
        return Err(
            "it is empty or a placeholder; make one with: openssl rand -base64 32".to_owned(),
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn durations_have_a_unit_and_last_at_least_a_second() {
        assert_eq!(duration(&value("90d")), Ok(Duration::from_hours(90 * 24)));
        assert_eq!(duration(&value("30s")), Ok(Duration::from_secs(30)));
        for wrong in [
            "",
            "30",
            "s",
            "-1s",
            "1.5h",
            "10ms",
            "0s",
            "99999999999999999999d",
            "3µ",
        ] {
            assert!(duration(&value(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn placeholders_are_no_secrets() {
        for wrong in ["", "changeme", "ChangeMe123", "secret", "my-placeholder"] {
            assert!(secret(&value(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(
            secret(&value(" secretary-9f2c ")),
            Ok("secretary-9f2c".to_owned())
        );
    }

    #[test]
    fn hosts_origins_and_networks_are_checked() {
        assert_eq!(
            hosts(&value("MCP.test, [::1]:80")).unwrap(),
            ["mcp.test", "[::1]:80"]
        );
        assert!(hosts(&value("http://x")).is_err());
        assert!(origins(&value("https://a.test/")).is_err());
        assert!(origins(&value("https://a.test")).is_ok());
        assert_eq!(networks(&value("10.0.0.0/8, ::1")).unwrap().len(), 2);
        assert!(networks(&value("10.0.0.0/99")).is_err());
    }
}
