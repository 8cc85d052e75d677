//! Resource indicators (RFC 8707).

use std::fmt;

use url::Url;

use crate::issuer::is_https_or_loopback;

/// Longest resource indicator taken from outside, in bytes.
const MAX_BYTES: usize = 2048;

/// Why a text is not a resource indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceIndicatorError {
    /// Not an absolute URL with a host, or too long.
    #[error("a resource is an absolute URL with a host, of at most 2048 bytes")]
    NotAUrl,
    /// A fragment or user information.
    #[error("a resource has no fragment (RFC 8707 §2) and no user information")]
    ExtraParts,
    /// Plain http on a host that is not loopback.
    #[error("a resource uses https; http is accepted for loopback hosts only")]
    NotHttps,
}

/// The canonical identifier of a protected resource, as it stands in `aud`.
///
/// Canonical means: scheme and host in lower case, no default port, no trailing slash on a bare
/// origin (MCP 2026-07-28, authorization, canonical server URI). Every other part is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct ResourceIndicator(String);

impl ResourceIndicator {
    /// Reads and canonicalises an indicator (RFC 8707 §2).
    pub fn parse(text: &str) -> Result<Self, ResourceIndicatorError> {
        if text.len() > MAX_BYTES || text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(ResourceIndicatorError::NotAUrl);
        }
        let url = Url::parse(text).map_err(|_| ResourceIndicatorError::NotAUrl)?;
        if !url.has_host() {
            return Err(ResourceIndicatorError::NotAUrl);
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if url.fragment().is_some() || has_user {
            return Err(ResourceIndicatorError::ExtraParts);
        }
        if !is_https_or_loopback(&url) {
            return Err(ResourceIndicatorError::NotHttps);
        }
        let canonical = url.as_str();
        let is_origin = url.path() == "/" && url.query().is_none();
        Ok(Self(
            if is_origin {
                canonical.trim_end_matches('/')
            } else {
                canonical
            }
            .to_owned(),
        ))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the metadata of this resource stands: the well-known path inserted between host and
    /// path (RFC 9728 §3.1).
    pub fn metadata_url(&self) -> String {
        match Url::parse(&self.0) {
            Ok(url) => {
                let rest = self.0.get(origin_of(&url).len()..).unwrap_or_default();
                format!("{}{WELL_KNOWN_PROTECTED_RESOURCE}{rest}", origin_of(&url))
            }
            Err(_) => String::new(),
        }
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        Url::parse(&self.0)
            .map(|url| origin_of(&url))
            .unwrap_or_default()
    }
}

/// The well-known path of protected-resource metadata (RFC 9728 §3).
pub const WELL_KNOWN_PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";

fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

impl fmt::Display for ResourceIndicator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: Result<&str, ResourceIndicatorError>) {
        let parsed = ResourceIndicator::parse(input);
        assert_eq!(
            parsed
                .as_ref()
                .map(ResourceIndicator::as_str)
                .map_err(|e| *e),
            expected
        );
    }

    #[test]
    fn indicators_are_canonical() {
        check("HTTPS://Example.COM:443/MCP", Ok("https://example.com/MCP"));
        check("https://example.com/", Ok("https://example.com"));
        check("https://example.com/mcp/", Ok("https://example.com/mcp/"));
        check("http://localhost:8080/mcp", Ok("http://localhost:8080/mcp"));
    }

    #[test]
    fn fragments_relative_urls_and_plain_http_are_refused() {
        check("https://h/#x", Err(ResourceIndicatorError::ExtraParts));
        check("https://u@h/", Err(ResourceIndicatorError::ExtraParts));
        check("/mcp", Err(ResourceIndicatorError::NotAUrl));
        check("https://h/a b", Err(ResourceIndicatorError::NotAUrl));
        check(
            "http://example.com/mcp",
            Err(ResourceIndicatorError::NotHttps),
        );
        check("urn:x", Err(ResourceIndicatorError::NotAUrl));
    }

    #[test]
    fn metadata_stands_between_host_and_path() {
        let url = |text| ResourceIndicator::parse(text).unwrap().metadata_url();
        assert_eq!(
            url("https://h/mcp"),
            "https://h/.well-known/oauth-protected-resource/mcp"
        );
        assert_eq!(
            url("https://h"),
            "https://h/.well-known/oauth-protected-resource"
        );
    }
}
