//! The issuer identifier.

use std::fmt;

use url::Url;

/// Why a text is not an issuer identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Not an absolute URL with a host.
    #[error("it is not an absolute URL with a host")]
    NotAUrl,
    /// A query, a fragment or user information.
    #[error("an issuer has no query, no fragment and no user information (RFC 8414 §2)")]
    ExtraParts,
    /// Plain http on a host that is not loopback.
    #[error("an issuer uses https; http is accepted for loopback hosts only")]
    NotHttps,
}

/// The identifier of an authorization server: an https URL without query or fragment (RFC 8414
/// §2), compared byte for byte and never normalised (RFC 9207 §2.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Issuer(String);

impl Issuer {
    /// Reads an issuer that an operator configured.
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        let url = Url::parse(text).map_err(|_| IssuerError::NotAUrl)?;
        if !url.has_host() {
            return Err(IssuerError::NotAUrl);
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if url.query().is_some() || url.fragment().is_some() || has_user {
            return Err(IssuerError::ExtraParts);
        }
        if !is_https_or_loopback(&url) {
            return Err(IssuerError::NotHttps);
        }
        Ok(Self(text.to_owned()))
    }

    /// The identifier exactly as it was configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of an endpoint below the issuer, such as `/token`.
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.0.trim_end_matches('/'))
    }

    /// The path part without a trailing slash; empty for an issuer that is an origin.
    pub fn path(&self) -> String {
        Url::parse(&self.0)
            .map(|url| url.path().trim_end_matches('/').to_owned())
            .unwrap_or_default()
    }

    /// The three URLs where metadata may stand, in the order of MCP 2026-07-28 (authorization,
    /// discovery): RFC 8414 inserted, OpenID inserted, OpenID appended. An issuer without a path
    /// has two.
    pub fn metadata_urls(&self) -> Vec<String> {
        let path = self.path();
        let base = self.0.trim_end_matches('/');
        let origin = base.strip_suffix(path.as_str()).unwrap_or(base);
        let mut urls = vec![
            format!("{origin}/.well-known/oauth-authorization-server{path}"),
            format!("{origin}/.well-known/openid-configuration{path}"),
        ];
        if !path.is_empty() {
            urls.push(format!("{base}/.well-known/openid-configuration"));
        }
        urls
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether the URL uses https, or plain http on a loopback host.
pub fn is_https_or_loopback(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback_host(url),
        _ => false,
    }
}

/// Whether the host is `localhost`, a name below it, or a loopback address.
pub fn is_loopback_host(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_keeps_its_text_and_refuses_what_rfc_8414_refuses() {
        assert_eq!(
            Issuer::parse("https://h/x/").unwrap().as_str(),
            "https://h/x/"
        );
        assert_eq!(Issuer::parse("https://h?x"), Err(IssuerError::ExtraParts));
        assert_eq!(Issuer::parse("https://h#x"), Err(IssuerError::ExtraParts));
        assert_eq!(
            Issuer::parse("http://example.com"),
            Err(IssuerError::NotHttps)
        );
        assert_eq!(Issuer::parse("h"), Err(IssuerError::NotAUrl));
        assert!(Issuer::parse("http://[::1]:8080").is_ok());
    }

    #[test]
    fn metadata_stands_in_three_places_for_a_path_and_in_two_without() {
        assert_eq!(
            Issuer::parse("https://h:1/a/b").unwrap().metadata_urls(),
            [
                "https://h:1/.well-known/oauth-authorization-server/a/b",
                "https://h:1/.well-known/openid-configuration/a/b",
                "https://h:1/a/b/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            Issuer::parse("https://h").unwrap().metadata_urls(),
            [
                "https://h/.well-known/oauth-authorization-server",
                "https://h/.well-known/openid-configuration",
            ]
        );
    }
}
