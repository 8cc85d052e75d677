//! Which texts are ids of clients that are described by a document.

use url::Url;

/// Longest id, in bytes; it stands in every token of the client.
const MAX_BYTES: usize = 1024;

/// The https URL of a document (Client ID Metadata Document §3), in the one way to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentUrl {
    text: String,
    url: Url,
}

impl DocumentUrl {
    /// Recognises an id. Ids are compared as text, so a URL counts only as a browser would write
    /// it: no default port, no capitals in the host, no dot segments in any encoding, no other
    /// spelling of an address. A path is needed, fragment and user information are not allowed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte);
        let rest = text.strip_prefix("https://")?;
        if text.len() > MAX_BYTES || !text.bytes().all(is_plain) {
            return None;
        }
        // An empty user is still a user, which the parser would drop.
        let authority = rest.split(['/', '?']).next()?;
        let url = Url::parse(text).ok()?;
        let is_canonical = url.as_str() == text && !authority.contains('@');
        let has_path = url.path() != "/";
        (is_canonical && has_path).then(|| Self {
            text: text.to_owned(),
            url,
        })
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL to fetch.
    pub(super) const fn as_url(&self) -> &Url {
        &self.url
    }

    /// The host without the port.
    pub(super) fn host_name(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The host as people read it, with the port unless it is the usual one.
    pub(crate) fn host(&self) -> String {
        match self.url.port() {
            None => self.host_name().to_owned(),
            Some(port) => format!("{}:{port}", self.host_name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_https_url_with_a_path_names_a_document() {
        for right in [
            "https://client.test/c.json",
            "https://client.test/a/b/",
            "https://client.test:8443/c",
            "https://client.test/c?v=1",
            "https://client.test/.well-known/c",
            "https://client.test/a..b",
            "https://93.184.216.34/c",
            "https://[2606:4700::1]/c",
            "https://xn--bcher-kva.test/c",
        ] {
            let url = DocumentUrl::parse(right);
            assert_eq!(url.as_ref().map(DocumentUrl::as_str), Some(right));
        }
        for wrong in [
            "",
            "app",
            "https:",
            "https://",
            "https:///c",
            "https:/client.test/c",
            "http://client.test/c",
            "HTTPS://client.test/c",
            "Https://client.test/c",
            "ftp://client.test/c",
            " https://client.test/c",
            "https://client.test",
            "https://client.test/",
            "https://client.test?x=/c",
            "https://client.test/?c",
            "https://client.test/c#",
            "https://client.test/c#x",
            "https://u@client.test/c",
            "https://u:p@client.test/c",
            "https://@client.test/c",
            "https://:@client.test/c",
            "https://client.test/.",
            "https://client.test/..",
            "https://client.test/./c",
            "https://client.test/a/../c",
            "https://client.test/a/%2e%2e/c",
            "https://client.test/a/%2E./c",
            "https://client.test/a/.%2e",
            "https://client.test/%2e/c",
            "https://client.test\\c",
            "https://client.test/a\\..\\c",
            "https://client.test/c d",
            "https://client.test/c\n",
            "https://client.test/c\t",
            "https://client.test/c\u{e4}",
            "https://CLIENT.test/c",
            "https://client.test:443/c",
            "https://client.test:/c",
            "https://client.test:0443/c",
            "https://client.test:99999/c",
            "https://b\u{fc}cher.test/c",
            "https://127.1/c",
            "https://0x7f000001/c",
            "https://2130706433/c",
            "https://[0:0:0:0:0:0:0:1]/c",
            "https://client%2etest/c",
        ] {
            assert_eq!(DocumentUrl::parse(wrong), None, "{wrong}");
        }
        let long = format!("https://client.test/{}", "x".repeat(MAX_BYTES));
        assert_eq!(DocumentUrl::parse(&long), None);
    }

    #[test]
    fn the_host_is_read_with_the_port_that_is_not_usual() {
        for (url, host) in [
            ("https://client.test/c", "client.test"),
            ("https://client.test:8443/c", "client.test:8443"),
            ("https://[2606:4700::1]/c", "[2606:4700::1]"),
        ] {
            assert_eq!(DocumentUrl::parse(url).unwrap().host(), host);
        }
    }
}
