//! Where a request was sent and where it comes from: `Host` and `Origin`.
//!
//! Both checks stop DNS rebinding: a web page that resolves its own name to our address.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use portcullis_common::config::ResourceConfig;

use super::Refusal;

#[derive(Debug)]
pub(super) struct Places {
    /// `host` (any port) or `host:port`, in any case.
    hosts: Vec<String>,
    /// Origins as browsers send them.
    origins: Vec<String>,
    /// The URL to name in the refusal.
    identifier: String,
}

impl Places {
    pub(super) fn new(config: &ResourceConfig) -> Self {
        let mut origins = config.allowed_origins.clone();
        origins.push(config.identifier.origin());
        Self {
            hosts: config.allowed_hosts.clone(),
            origins,
            identifier: config.identifier.to_string(),
        }
    }

    /// MCP (streamable HTTP, security): the Origin is validated, a foreign one gets 403. Another
    /// Host gets 421 (RFC 9110 §15.5.20).
    pub(super) fn check(&self, head: &Parts) -> Result<(), Refusal> {
        let host = named_host(head).ok_or_else(Refusal::bad_host)?;
        if !self.knows(host) {
            return Err(Refusal::misdirected(&self.identifier));
        }
        let mut origins = head.headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if self.origins.iter().any(|own| own == origin) => Ok(()),
            _ => Err(Refusal::foreign_origin()),
        }
    }

    fn knows(&self, host: &str) -> bool {
        let name = without_port(host);
        self.hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(name))
    }
}

/// The one host a request names. `None` if it names none, or two that differ (RFC 9112 §3.2).
fn named_host(head: &Parts) -> Option<&str> {
    let mut headers = head.headers.get_all(HOST).iter();
    let header = match (headers.next(), headers.next()) {
        (Some(header), None) => Some(header.to_str().ok()?),
        (None, _) => None,
        (Some(_), Some(_)) => return None,
    };
    let target = head.uri.authority().map(http::uri::Authority::as_str);
    let host = match (header, target) {
        (Some(header), Some(target)) if !header.eq_ignore_ascii_case(target) => return None,
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => return None,
    };
    (!host.is_empty() && !host.contains('@')).then_some(host)
}

/// A host without its port; the brackets of an IPv6 address stay.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn places() -> Places {
        Places {
            hosts: vec!["localhost:8080".to_owned(), "mcp.test".to_owned()],
            origins: vec!["https://app.test".to_owned()],
            identifier: "https://mcp.test/mcp".to_owned(),
        }
    }

    fn check(target: &str, headers: &[(&str, &str)], expected: u16) {
        let mut request = Request::post(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let found = places().check(&head).map_or_else(
            |refusal| refusal.into_response().status().as_u16(),
            |()| 200,
        );
        assert_eq!(found, expected, "{target} {headers:?}");
    }

    #[test]
    fn only_our_own_names_are_answered() {
        check("/mcp", &[("host", "localhost:8080")], 200);
        check("/mcp", &[("host", "LOCALHOST:8080")], 200);
        check("/mcp", &[("host", "mcp.test:4433")], 200);
        check("http://mcp.test/mcp", &[], 200);
        check("/mcp", &[("host", "localhost:9")], 421);
        check("/mcp", &[("host", "127.0.0.1:8080")], 421);
        check("/mcp", &[("host", "mcp.test.evil.test")], 421);
        check("/mcp", &[("host", "")], 400);
        check("/mcp", &[("host", "x@mcp.test")], 400);
        check("/mcp", &[], 400);
        check("/mcp", &[("host", "mcp.test"), ("host", "mcp.test")], 400);
        check("http://evil.test/mcp", &[("host", "mcp.test")], 400);
    }

    #[test]
    fn origins_are_compared_as_they_are() {
        let from = |origin: &str, expected| {
            check(
                "/mcp",
                &[("host", "mcp.test"), ("origin", origin)],
                expected,
            );
        };
        from("https://app.test", 200);
        for foreign in [
            "null",
            "https://APP.test",
            "https://app.test:444",
            "https://x.app.test",
            "",
            "http://app.test",
        ] {
            from(foreign, 403);
        }
    }
}
