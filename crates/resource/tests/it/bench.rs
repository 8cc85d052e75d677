//! The workbench: the product's tools behind the real MCP service and REST routers, with a caller
//! put where the guard puts one.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_common::clock::{Clock, Timestamp};
use portcullis_common::scope::{ScopeDeclaration, ScopeHierarchy, ScopeToken};
use portcullis_resource::guard::{Caller, ParsedBody, Principal};
use portcullis_resource::mcp::{self, McpEndpoint, McpOptions, Registry, RegistryOptions, tools};
use portcullis_resource::rest;
use serde_json::{Value, json};
use tower::ServiceExt;

/// Sunday, 13 July 2025, 10:30:45 UTC.
pub(crate) const NOW: i64 = 1_752_402_645;

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(NOW)
    }
}

pub(crate) struct Bench {
    pub(crate) registry: Arc<Registry>,
    endpoint: McpEndpoint,
    rest: Router,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(&McpOptions::default())
    }

    pub(crate) fn with(options: &McpOptions) -> Self {
        let registry = tools::demo(registry_options()).unwrap();
        let registry = Arc::new(registry);
        Self {
            endpoint: mcp::service(Arc::clone(&registry), options),
            rest: rest::public(&registry, "https://mcp.example")
                .merge(rest::protected(Arc::clone(&registry))),
            registry,
        }
    }

    /// Sends any request to the MCP endpoint.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.endpoint.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply::new(parts.status, parts.headers, &bytes)
    }

    /// One request of revision 2026-07-28, with the headers and metadata that it demands.
    pub(crate) async fn ask(&self, caller: &Caller, method: &str, mut params: Value) -> Reply {
        params["_meta"] = modern_meta();
        let mut request = post("/mcp")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if let Some(name) = params.get("name").or_else(|| params.get("uri")) {
            request = request.header("mcp-name", name.as_str().unwrap());
        }
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let request = request.extension(caller.clone()).body(body.to_string());
        self.send(request.unwrap().map(Body::from)).await
    }

    /// Calls a tool over 2026-07-28 and answers the result.
    pub(crate) async fn call(&self, caller: &Caller, tool: &str, arguments: Value) -> Value {
        let params = json!({"name": tool, "arguments": arguments});
        self.ask(caller, "tools/call", params).await.json()["result"].clone()
    }

    /// A REST request; `Value::Null` is no body.
    pub(crate) async fn rest(
        &self,
        caller: &Caller,
        method: Method,
        path: &str,
        body: Value,
    ) -> Reply {
        let arguments = if body.is_null() { json!({}) } else { body };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .extension(caller.clone())
            .extension(ParsedBody(arguments))
            .body(Body::empty())
            .unwrap();
        self.send_rest(request).await
    }

    pub(crate) async fn send_rest(&self, request: Request<Body>) -> Reply {
        let response = self.rest.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply::new(parts.status, parts.headers, &bytes)
    }
}

impl Reply {
    fn new(status: StatusCode, headers: HeaderMap, bytes: &[u8]) -> Self {
        Self {
            status,
            headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// The body as JSON: the whole, or the last event of a stream.
    pub(crate) fn json(&self) -> Value {
        let last = self.text.lines().rfind(|line| line.starts_with("data:"));
        let text = last.map_or(self.text.as_str(), |line| line.trim_start_matches("data:"));
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

pub(crate) fn post(path: &str) -> http::request::Builder {
    Request::post(path)
        .header("host", "localhost:8080")
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
}

pub(crate) fn modern_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// A person with a token of all scopes.
pub(crate) fn person(subject: &str) -> Caller {
    Caller {
        issuer: "https://as.example".to_owned(),
        subject: subject.to_owned(),
        client: Some("inspector".to_owned()),
        principal: Principal::User,
        scopes: "mcp:read mcp:write".parse().unwrap(),
        roles: vec!["user".to_owned()],
        username: Some(format!("{subject}-name")),
        email: None,
        email_verified: None,
        expires_at: Timestamp::from_seconds(NOW + 600),
        grant: None,
        correlation_id: "c-1".to_owned(),
        trace: None,
        request_trace: None,
        source: None,
    }
}

pub(crate) fn admin() -> Caller {
    Caller {
        roles: vec!["user".to_owned(), "admin".to_owned()],
        ..person("root")
    }
}

pub(crate) fn registry_options() -> RegistryOptions {
    let declare = |name: &str, implies: &str| ScopeDeclaration {
        name: ScopeToken::parse(name).unwrap(),
        text: format!("What {name} allows"),
        implies: implies.parse().unwrap(),
    };
    RegistryOptions {
        name: "portcullis".to_owned(),
        version: "1.2.3".to_owned(),
        clock: Arc::new(FixedClock),
        scopes: ScopeHierarchy::new(vec![
            declare("mcp:read", ""),
            declare("mcp:write", "mcp:read"),
            declare("mcp:infer", ""),
        ]),
        settings: json!({"server": {"public_url": "https://mcp.example"}}),
    }
}
