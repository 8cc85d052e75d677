//! Requests to the server that is examined: few, small, short, and never redirected.

use std::time::Duration;

use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, LOCATION, ORIGIN, USER_AGENT,
};
use http::request::Builder;
use http::{HeaderMap, Method, Request, StatusCode};
use portcullis_common::clock::SharedClock;
use portcullis_common::entropy::SharedEntropy;
use portcullis_common::fetch::{FetchError, HttpFetcher, PeerCertificate};
use portcullis_common::issuer::is_loopback_host;
use portcullis_common::strict_json;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

/// Longest time for one request, look-up included.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Largest answer, in bytes: the limit at which our own servers stop reading a key set.
const MAX_ANSWER: usize = 256 * 1024;

/// Asks.
pub(crate) struct Probe {
    pub(crate) fetcher: HttpFetcher,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    /// The origin of the web page that calls are made for.
    pub(crate) origin: String,
    /// Whether the server that is examined is on loopback: only then may it lead us there.
    pub(crate) is_local: bool,
    /// Its origin, which is asked whatever it is: the operator named it.
    pub(crate) own_origin: String,
}

/// Any answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// What the other side showed, over TLS.
    pub(super) certificate: Option<PeerCertificate>,
}

/// An answer, or why there is none.
pub(super) type Asked = Result<Answer, FetchError>;

impl Probe {
    /// A document.
    pub(super) async fn get(&self, url: &str) -> Asked {
        self.send(Request::get(url).header(ACCEPT, "application/json"), "")
            .await
    }

    /// A page, as a browser visits it.
    pub(super) async fn visit(&self, url: &str) -> Asked {
        self.send(Request::get(url).header(ACCEPT, "text/html,*/*;q=0.5"), "")
            .await
    }

    /// A document, as a web page asks for it.
    pub(super) async fn get_from_page(&self, url: &str) -> Asked {
        self.send(Request::get(url).header(ORIGIN, &self.origin), "")
            .await
    }

    /// What a browser asks before a web page may post.
    pub(super) async fn preflight(&self, url: &str) -> Asked {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(url)
            .header(ORIGIN, &self.origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        self.send(request, "").await
    }

    /// JSON, with further headers.
    pub(super) async fn post_json(
        &self,
        url: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Asked {
        let request = Request::post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream");
        self.send(with(request, headers), &body.to_string()).await
    }

    /// A form, with further headers.
    pub(super) async fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Asked {
        let request = Request::post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.send(with(request, headers), &body).await
    }

    /// Removes what stands there, with a token.
    pub(super) async fn delete(&self, url: &str, token: &str) -> Asked {
        let request = Request::delete(url).header("authorization", format!("Bearer {token}"));
        self.send(request, "").await
    }

    /// Ends an MCP session of revision 2025-11-25.
    pub(super) async fn end_session(&self, url: &str, token: &str, session: &str) -> Asked {
        let request = Request::delete(url)
            .header("authorization", format!("Bearer {token}"))
            .header("mcp-session-id", session);
        self.send(request, "").await
    }

    async fn send(&self, request: Builder, body: &str) -> Asked {
        let request = request
            .header(
                USER_AGENT,
                concat!("portcullis-doctor/", env!("CARGO_PKG_VERSION")),
            )
            .body(body.as_bytes().to_vec())
            .map_err(|error| FetchError::Unreachable {
                url: "a URL of the metadata".to_owned(),
                cause: error.to_string(),
            })?;
        let answer = self.fetcher.send(request, TIMEOUT, MAX_ANSWER).await?;
        let (mut head, body) = answer.into_parts();
        Ok(Answer {
            certificate: head.extensions.remove(),
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Whether a URL that the server names may be asked: https, or loopback where the server is on
    /// loopback itself. A stranger must not lead us to what runs on this machine.
    pub(super) fn permits(&self, text: &str) -> bool {
        Url::parse(text).is_ok_and(|url| match url.scheme() {
            _ if url.origin().ascii_serialization() == self.own_origin => true,
            "https" => self.is_local || !is_loopback_host(&url),
            "http" => self.is_local && is_loopback_host(&url),
            _ => false,
        })
    }
}

fn with(request: Builder, headers: &[(&str, &str)]) -> Builder {
    let add = |request: Builder, (name, value): &(&str, &str)| request.header(*name, *value);
    headers.iter().fold(request, add)
}

impl Answer {
    /// The first line of this header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as one JSON object in which no member stands twice.
    pub(super) fn object(&self) -> Option<Map<String, Value>> {
        strict_json::parse_object(&self.body).ok()
    }

    /// Whether the type is JSON.
    pub(super) fn is_json(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    }

    /// Whether nothing on the way may keep it.
    pub(super) fn is_no_store(&self) -> bool {
        let values = self.headers.get_all("cache-control").iter();
        values
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains("no-store"))
    }

    /// Whether a page of this origin may read it.
    pub(super) fn allows(&self, origin: &str) -> bool {
        self.headers
            .get(ACCESS_CONTROL_ALLOW_ORIGIN)
            .is_some_and(|value| value == "*" || value == origin)
    }

    /// The status, and what an OAuth error says; never the rest of the body.
    pub(super) fn summary(&self) -> String {
        let status = self.status.as_u16();
        if let Some(place) = self.headers.get(LOCATION) {
            let place = place.to_str().unwrap_or_default();
            let place = place.split(['?', '#']).next().unwrap_or_default();
            return format!("{status} to {place}, which is not followed");
        }
        let body = self.object().unwrap_or_default();
        let member = |name: &str| body.get(name).and_then(Value::as_str);
        match (member("error"), member("error_description")) {
            (Some(error), Some(text)) => format!("{status} {error}: {text}"),
            (Some(error), None) => format!("{status} {error}"),
            _ => status.to_string(),
        }
    }

    /// The `error` of the body, empty if there is none.
    pub(super) fn error(&self) -> String {
        let body = self.object().unwrap_or_default();
        body.get("error")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }
}

/// The summary of an answer, or why there is none.
pub(super) fn summary(asked: &Asked) -> String {
    match asked {
        Ok(answer) => answer.summary(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_common::clock::SystemClock;
    use portcullis_common::entropy::SystemEntropy;

    use super::*;

    fn probe(own_origin: &str, is_local: bool) -> Probe {
        Probe {
            fetcher: HttpFetcher::new(None).unwrap(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            origin: "https://page.example".to_owned(),
            is_local,
            own_origin: own_origin.to_owned(),
        }
    }

    #[test]
    fn a_server_elsewhere_cannot_lead_to_this_machine_or_to_plain_http() {
        let probe = probe("https://mcp.example", false);
        assert!(probe.permits("https://as.example/token"));
        for url in [
            "http://as.example/token",
            "http://localhost:9000/token",
            "https://localhost:9000/token",
            "https://127.0.0.1/token",
            "https://[::1]/token",
            "file:///etc/passwd",
            "/token",
        ] {
            assert!(!probe.permits(url), "{url}");
        }
    }

    #[test]
    fn a_server_on_this_machine_may_lead_around_on_it() {
        let probe = probe("http://localhost:9100", true);
        assert!(probe.permits("http://127.0.0.1:9000/token"));
        assert!(probe.permits("https://as.example/token"));
        assert!(!probe.permits("http://as.example/token"));
    }

    #[test]
    fn the_origin_that_the_operator_named_is_asked_whatever_it_is() {
        let probe = probe("http://mcp.example:8080", false);
        assert!(probe.permits("http://mcp.example:8080/.well-known/x"));
        assert!(!probe.permits("http://mcp.example/x"));
    }
}
