//! Redirect URIs: the one comparison on which nobody may cheat.

use std::fmt::Write as _;

use portcullis_common::secret::SecretHash;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::{Client, ClientOrigin};

/// Hosts of this machine, as they are written in a URI.
const LOOPBACK_HOSTS: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// Why a request may not be answered to where it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RedirectUriError {
    #[error("the client has more than one redirect URI and the request names none")]
    Missing,
    #[error("the redirect URI is not registered for the client")]
    Unknown,
}

/// A redirect URI that belongs to the client of the request. Only from it is anybody redirected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct MatchedRedirectUri(String);

impl Client {
    /// Finds the redirect URI of a request among those of this client, by its exact text; only the
    /// port of a loopback host may differ (OAuth 2.1 §2.3.1 and §8.4.2).
    pub(crate) fn match_redirect_uri(
        &self,
        requested: Option<&str>,
    ) -> Result<MatchedRedirectUri, RedirectUriError> {
        let uris = self.redirect_uris.as_slice();
        let Some(requested) = requested else {
            // OAuth 2.1 §2.3.2: it may be left out where there is no choice.
            return match uris {
                [only] => Ok(MatchedRedirectUri(only.clone())),
                _ => Err(RedirectUriError::Missing),
            };
        };
        let is_registered = uris.iter().any(|registered| {
            registered == requested || differs_in_port_only(registered, requested)
        });
        is_registered
            .then(|| MatchedRedirectUri(requested.to_owned()))
            .ok_or(RedirectUriError::Unknown)
    }

    /// A digest of what a person is shown of this client, so that a change is noticed; of one that
    /// a document describes, of all that the document says.
    pub(crate) fn digest(&self) -> String {
        if let ClientOrigin::Document { digest, .. } = &self.origin {
            return digest.clone();
        }
        let shown = serde_json::json!([self.name, self.redirect_uris, self.is_public()]);
        SecretHash::of(&shown.to_string()).to_hex()
    }
}

/// RFC 8252 §7.3: programs on the person's machine take any free port. Every other part is compared
/// as text.
fn differs_in_port_only(registered: &str, requested: &str) -> bool {
    match (loopback_parts(registered), loopback_parts(requested)) {
        (Some(registered), Some(requested)) => registered == requested,
        _ => false,
    }
}

/// Host and everything behind the port of a plain http URI on this machine.
fn loopback_parts(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let host = LOOPBACK_HOSTS
        .into_iter()
        .find(|host| rest.starts_with(host))?;
    let rest = rest.strip_prefix(host)?;
    let path = match rest.strip_prefix(':') {
        None => rest,
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (port, path) = rest.split_at(digits);
            let is_plain = !port.starts_with('0') && port.parse::<u16>().is_ok();
            is_plain.then_some(path)?
        }
    };
    (path.is_empty() || path.starts_with(['/', '?'])).then_some((host, path))
}

impl MatchedRedirectUri {
    /// The text, as it was asked for.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the answer stays on the person's machine, where any program may wait for it.
    pub(crate) fn is_loopback(&self) -> bool {
        loopback_parts(&self.0).is_some()
    }

    /// Whether the answer goes to a web server that proved its name.
    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Where the answer goes, in the words of an address bar: the host, with the port unless it is
    /// the usual one or any (loopback); of a private-use scheme, the scheme.
    pub(crate) fn host(&self) -> String {
        if let Some((host, _)) = loopback_parts(&self.0) {
            return host.to_owned();
        }
        let Ok(url) = Url::parse(&self.0) else {
            return self.0.clone();
        };
        match (url.scheme(), url.host_str(), url.port()) {
            ("http" | "https", Some(host), None) => host.to_owned(),
            ("http" | "https", Some(host), Some(port)) => format!("{host}:{port}"),
            (scheme, ..) => format!("{scheme}:"),
        }
    }

    /// What a content security policy must allow so that a browser follows the answer to a form
    /// (CSP 3 §6.4.2: `form-action` is checked against redirects too).
    pub(crate) fn form_action_source(&self) -> String {
        match Url::parse(&self.0) {
            // The grammar of sources has no IPv6 addresses.
            Ok(url) if url.host_str().is_some_and(|host| host.starts_with('[')) => {
                format!("{}:", url.scheme())
            }
            Ok(url) if matches!(url.scheme(), "http" | "https") => {
                url.origin().ascii_serialization()
            }
            Ok(url) => format!("{}:", url.scheme()),
            Err(_) => String::new(),
        }
    }

    /// The URI with these parameters behind those that it has already.
    pub(crate) fn with_parameters(&self, parameters: &[(&str, &str)]) -> String {
        let mut uri = self.0.clone();
        let mut separator = match uri.find('?') {
            None => "?",
            Some(_) if uri.ends_with(['?', '&']) => "",
            Some(_) => "&",
        };
        for (name, value) in parameters {
            // A space as %20 is read the same by those who decode forms and those who decode URIs.
            let value: String = byte_serialize(value.as_bytes()).collect();
            let value = value.replace('+', "%20");
            let _ = write!(uri, "{separator}{name}={value}");
            separator = "&";
        }
        uri
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::clock::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::clients::{ClientId, ClientOrigin, Credential};

    fn client(uris: &[&str]) -> Client {
        Client {
            id: ClientId::parse("app").unwrap(),
            name: "App".to_owned(),
            credential: Credential::None,
            grants: Vec::new(),
            redirect_uris: uris.iter().map(ToString::to_string).collect(),
            scope: None,
            introspect: Vec::new(),
            created_at: Timestamp::from_seconds(0),
            origin: ClientOrigin::Operator,
        }
    }

    fn check(registered: &str, requested: &str, expected: bool) {
        let found = client(&[registered]).match_redirect_uri(Some(requested));
        match found {
            Ok(matched) => assert!(expected && matched.as_str() == requested, "{requested}"),
            Err(error) => assert!(
                !expected && error == RedirectUriError::Unknown,
                "{requested}"
            ),
        }
    }

    #[test]
    fn only_the_exact_text_matches() {
        let registered = "https://app.test/cb?a=1";
        check(registered, registered, true);
        for wrong in [
            "https://app.test/cb",
            "https://app.test/cb?a=2",
            "https://app.test/cb?a=1&b=2",
            "https://app.test/CB?a=1",
            "HTTPS://APP.TEST/cb?a=1",
            "https://app.test/%63b?a=1",
            "https://app.test:443/cb?a=1",
            "https://app.test/cb/?a=1",
            "https://app.test/x/../cb?a=1",
            "https://app.test/cb?a=1#",
            "https://app.test/cb?a=1 ",
            "https://user@app.test/cb?a=1",
            "http://app.test/cb?a=1",
            "",
        ] {
            check(registered, wrong, false);
        }
    }

    #[test]
    fn the_port_of_a_loopback_host_may_differ_and_nothing_else() {
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            for port in ["", ":1", ":49152", ":65535"] {
                check(
                    &format!("http://{host}/cb"),
                    &format!("http://{host}{port}/cb"),
                    true,
                );
                check(
                    &format!("http://{host}:7/cb"),
                    &format!("http://{host}{port}/cb"),
                    true,
                );
            }
        }
        for wrong in [
            "http://127.0.0.1:65536/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:080/cb",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:1@evil.test/cb",
            "http://127.0.0.1:1.evil.test/cb",
            "http://127.0.0.1.evil.test/cb",
            "http://127.0.0.1:1\\@evil.test/cb",
            "http://127.0.0.1:1/cb2",
            "http://127.0.0.1:1/cb?x=1",
            "http://127.0.0.1:1/cb#x",
            "https://127.0.0.1:1/cb",
            "http://localhost:1/cb",
            "http://127.0.0.2:1/cb",
            "http://user@127.0.0.1:1/cb",
        ] {
            check("http://127.0.0.1/cb", wrong, false);
        }
        check("https://localhost/cb", "https://localhost:1/cb", false);
    }

    #[test]
    fn an_absent_redirect_uri_is_the_only_one_there_is() {
        let only = client(&["https://a.test/cb"])
            .match_redirect_uri(None)
            .unwrap();
        assert_eq!(only.as_str(), "https://a.test/cb");
        for uris in [&[][..], &["https://a.test/cb", "https://a.test/b"]] {
            assert_eq!(
                client(uris).match_redirect_uri(None),
                Err(RedirectUriError::Missing)
            );
        }
    }

    #[test]
    fn a_redirect_uri_says_where_it_leads() {
        for (uri, host, source) in [
            ("https://app.test/cb", "app.test", "https://app.test"),
            (
                "https://app.test:8443/cb",
                "app.test:8443",
                "https://app.test:8443",
            ),
            (
                "http://127.0.0.1:7777/cb",
                "127.0.0.1",
                "http://127.0.0.1:7777",
            ),
            ("http://[::1]:7777/cb", "[::1]", "http:"),
            ("cursor://anysphere.cursor-mcp/oauth", "cursor:", "cursor:"),
        ] {
            let matched = client(&[uri]).match_redirect_uri(None).unwrap();
            assert_eq!(matched.host(), host);
            assert_eq!(matched.form_action_source(), source);
        }
    }

    #[test]
    fn parameters_stand_behind_those_that_are_there() {
        for (uri, expected) in [
            ("https://a.test/cb", "https://a.test/cb?state=a%20%26"),
            (
                "https://a.test/cb?x=1",
                "https://a.test/cb?x=1&state=a%20%26",
            ),
            ("https://a.test/cb?", "https://a.test/cb?state=a%20%26"),
        ] {
            let matched = client(&[uri]).match_redirect_uri(None).unwrap();
            assert_eq!(matched.with_parameters(&[("state", "a &")]), expected);
        }
    }

    proptest! {
        #[test]
        fn whatever_matches_leads_to_a_registered_host(requested in "(https?|cursor)://(app\\.test|127\\.0\\.0\\.1|localhost|\\[::1\\]|evil\\.test)[:@./?#a-z0-9\\\\]{0,12}") {
            let registered = ["https://app.test/cb", "http://127.0.0.1/cb", "http://localhost:1/"];
            if client(&registered).match_redirect_uri(Some(&requested)).is_ok() {
                let url = Url::parse(&requested).unwrap();
                let is_ours = registered.iter().any(|uri| {
                    let known = Url::parse(uri).unwrap();
                    (known.scheme(), known.host_str(), known.path(), known.query())
                        == (url.scheme(), url.host_str(), url.path(), url.query())
                });
                prop_assert!(is_ours, "{requested}");
            }
        }

        #[test]
        fn a_state_comes_back_byte_for_byte(value in "\\PC{0,40}") {
            let matched = client(&["https://a.test/cb?x=1"]).match_redirect_uri(None).unwrap();
            let uri = Url::parse(&matched.with_parameters(&[("state", &value)])).unwrap();
            let found = uri.query_pairs().find(|(name, _)| name == "state").unwrap();
            prop_assert_eq!(found.1, value);
        }
    }
}
