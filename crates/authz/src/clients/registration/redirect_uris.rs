//! Which redirect URIs a client may register (OAuth 2.1 §2.3.1, RFC 8252 §7).

use std::borrow::Cow;

use url::Url;

use super::MetadataError;
use super::metadata::ApplicationType;

/// Longest redirect URI, in bytes.
const MAX_BYTES: usize = 2048;
/// The hosts on which a program waits for its own browser; the text decides, no name is resolved.
const LOOPBACK_HOSTS: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// What decides about the redirect URIs of one client.
#[derive(Clone, Copy, Debug)]
pub(super) struct RedirectUriRules<'a> {
    /// Schemes of `[authz] private_schemes`.
    pub(super) private_schemes: &'a [String],
    /// What the client says it is.
    pub(super) application_type: Option<ApplicationType>,
    /// Whether it is a public client.
    pub(super) is_public: bool,
}

impl RedirectUriRules<'_> {
    /// Refuses a URI nobody may be sent to. What is let through is plain ASCII that a browser reads
    /// as we do.
    pub(super) fn check(&self, uri: &str) -> Result<(), MetadataError> {
        let refuse = |rule| Err(MetadataError::RedirectUri(rule));
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if uri.len() > MAX_BYTES || !uri.bytes().all(is_plain) {
            return refuse("a redirect URI is at most 2048 characters of a URI");
        }
        let Ok(url) = Url::parse(uri) else {
            return refuse("a redirect URI is absolute");
        };
        // OAuth 2.1 §2.3: no fragment. A wildcard would match more than one place.
        if uri.contains(['#', '*']) {
            return refuse("a redirect URI has no fragment and no wildcard");
        }
        if authority(uri).is_some_and(|authority| authority.contains('@')) {
            return refuse("a redirect URI has no user information");
        }
        match url.scheme() {
            // A parser for browsers repairs `https:/host` and `https:host`; a client must not.
            "https" if uri.starts_with("https://") => Ok(()),
            "http" if loopback(uri).is_some() => self.check_loopback(),
            scheme if self.private_schemes.iter().any(|known| known == scheme) => {
                self.check_private()
            }
            _ => refuse(
                "a redirect URI is https, or http on 127.0.0.1, [::1] or localhost, or has a \
                 private scheme that this server allows",
            ),
        }
    }

    /// OpenID Connect Registration §2: a web client is not on the user's machine. Who does not say
    /// what it is may be native, because most native clients do not say so.
    fn check_loopback(&self) -> Result<(), MetadataError> {
        match self.application_type {
            Some(ApplicationType::Web) => Err(MetadataError::RedirectUri(
                "a client of the application_type web is redirected to https; native ones may be \
                 redirected to loopback",
            )),
            Some(ApplicationType::Native) | None => Ok(()),
        }
    }

    /// OAuth 2.1 §8.4.3: private schemes are for native clients, which are public unless they say
    /// otherwise.
    fn check_private(&self) -> Result<(), MetadataError> {
        let is_native = match self.application_type {
            Some(ApplicationType::Native) => true,
            Some(ApplicationType::Web) => false,
            None => self.is_public,
        };
        is_native.then_some(()).ok_or(MetadataError::RedirectUri(
            "a private scheme is for clients of the application_type native",
        ))
    }
}

/// A redirect URI without the port, if its host is a loopback one: the port is chosen anew every
/// time such a client starts (RFC 8252 §7.3), so it tells no clients apart.
pub(super) fn without_loopback_port(uri: &str) -> Cow<'_, str> {
    match loopback(uri) {
        Some((host, rest)) => Cow::Owned(format!("http://{host}{rest}")),
        None => Cow::Borrowed(uri),
    }
}

/// Host and everything behind the port, of an `http` URI on a loopback host.
fn loopback(uri: &str) -> Option<(&'static str, &str)> {
    let after_scheme = uri.strip_prefix("http://")?;
    let (authority, rest) =
        after_scheme.split_at(after_scheme.find(['/', '?']).unwrap_or(after_scheme.len()));
    LOOPBACK_HOSTS.into_iter().find_map(|host| {
        let port = authority.strip_prefix(host)?;
        let is_port = port.is_empty()
            || port.strip_prefix(':').is_some_and(|digits| {
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            });
        is_port.then_some((host, rest))
    })
}

/// What stands between `//` and the path, in whatever scheme.
fn authority(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once(':')?;
    let rest = rest.strip_prefix("//")?;
    rest.split(['/', '?']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(application_type: Option<ApplicationType>, is_public: bool, uri: &str) -> bool {
        let private_schemes = ["cursor".to_owned()];
        let rules = RedirectUriRules {
            private_schemes: &private_schemes,
            application_type,
            is_public,
        };
        rules.check(uri).is_ok()
    }

    #[test]
    fn https_and_loopback_are_allowed_and_nothing_that_looks_like_them() {
        for right in [
            "https://app.example/cb",
            "https://app.example:8443/cb?x=1",
            "https://localhost/cb",
            "http://127.0.0.1/cb",
            "http://127.0.0.1:33418",
            "http://[::1]:1/",
            "http://localhost:6276/oauth/callback?x=y",
        ] {
            assert!(check(None, true, right), "{right}");
        }
        for wrong in [
            "",
            "/cb",
            "//app.example/cb",
            "app.example/cb",
            "https:app.example/cb",
            "https:/app.example/cb",
            "https:\\\\app.example/cb",
            "https://",
            "http://app.example/cb",
            "http://localhost.evil.example/cb",
            "http://sub.localhost/cb",
            "http://localhost@evil.example/cb",
            "http://localhost:80@evil.example/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.2/cb",
            "http://127.1/cb",
            "http://2130706433/cb",
            "http://0.0.0.0/cb",
            "http://[::ffff:127.0.0.1]/cb",
            "http://localhost\\@evil.example/cb",
            "https://app.example/cb#",
            "https://app.example/cb#x",
            "https://*.example/cb",
            "https://app.example/*",
            "https://u@app.example/cb",
            "https://u:p@app.example/cb",
            "https://@app.example/cb",
            "https://app.example/c b",
            "https://app.example/cb\n",
            "https://äpp.example/cb",
            "javascript:alert(1)",
            "JavaScript://app.example/%0aalert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://app.example/x",
            "about:blank",
            "myapp:/cb",
            "com.example.app:/cb",
            "ftp://app.example/cb",
            "ws://localhost/cb",
        ] {
            assert!(!check(None, true, wrong), "{wrong}");
            assert!(
                !check(Some(ApplicationType::Native), true, wrong),
                "{wrong}"
            );
        }
        let long = format!("https://app.example/{}", "x".repeat(4096));
        assert!(!check(None, true, &long));
    }

    #[test]
    fn a_private_scheme_is_for_native_clients_and_loopback_not_for_web_ones() {
        let private = "cursor://anysphere.cursor-mcp/oauth/callback";
        assert!(check(Some(ApplicationType::Native), true, private));
        assert!(check(Some(ApplicationType::Native), false, private));
        assert!(check(None, true, private));
        assert!(!check(None, false, private));
        assert!(!check(Some(ApplicationType::Web), true, private));
        assert!(!check(None, true, "cursor://u@x/cb"));
        assert!(!check(
            Some(ApplicationType::Web),
            true,
            "http://localhost/cb"
        ));
        assert!(check(
            Some(ApplicationType::Web),
            true,
            "https://app.example/cb"
        ));
    }

    #[test]
    fn only_the_port_of_a_loopback_host_is_left_out() {
        for (uri, without) in [
            ("http://127.0.0.1:1/cb?x=:2", "http://127.0.0.1/cb?x=:2"),
            ("http://localhost:65535", "http://localhost"),
            ("http://[::1]:1/", "http://[::1]/"),
            ("http://localhost/cb", "http://localhost/cb"),
            ("https://localhost:1/cb", "https://localhost:1/cb"),
            ("https://app.example:1/cb", "https://app.example:1/cb"),
        ] {
            assert_eq!(without_loopback_port(uri), without);
        }
    }
}
