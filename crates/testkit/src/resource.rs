//! The production resource server, in process, behind everything that stands in front of it in the
//! product.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use portcullis::{Ambient, App};
use portcullis_common::audit::{AuditOptions, AuditTrail};
use portcullis_common::config::{Config, Role, Sources, load};
use portcullis_common::metrics::SharedMetrics;
use portcullis_common::redis::SharedRedis;
use portcullis_resource::ResourceState;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::answer::Answer;
use crate::clock::ManualClock;
use crate::entropy::SeededEntropy;
use crate::issuer::TestIssuer;
use crate::network::TestNetwork;
use crate::token::TokenDraft;
use crate::web::no_web;

/// The host of the server.
pub const MCP_HOST: &str = "mcp.test";
/// Its identifier, which the audience of its tokens must name.
pub const IDENTIFIER: &str = "https://mcp.test/mcp";
/// Its issuer, if the test names no other.
pub const ISSUER: &str = "https://issuer.test";
/// The challenge of a request without a token.
pub const PLAIN_CHALLENGE: &str = "Bearer scope=\"mcp:read mcp:write\", \
     resource_metadata=\"https://mcp.test/.well-known/oauth-protected-resource/mcp\"";

/// A resource server and the world around it.
#[derive(Debug)]
pub struct ProtectedServer {
    app: App,
    /// Its audit trail, which is off unless the configuration says otherwise.
    pub audit: AuditTrail,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Its first issuer.
    pub issuer: TestIssuer,
    /// What it can reach.
    pub network: Arc<TestNetwork>,
}

impl ProtectedServer {
    /// One with the default configuration and one issuer.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// One with another configuration.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_among(vec![TestIssuer::new(ISSUER)], change).await
    }

    /// One that trusts these issuers.
    pub async fn start_among(issuers: Vec<TestIssuer>, change: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::new();
        let issuer = issuers.first().unwrap().clone();
        let network = TestNetwork::new(issuers);
        Self::open(clock, issuer, network, change).await
    }

    /// Another replica of it: same clock, same world.
    pub async fn replica(&self, change: impl FnOnce(&mut Config)) -> Self {
        let (clock, network) = (Arc::clone(&self.clock), Arc::clone(&self.network));
        Self::open(clock, self.issuer.clone(), network, change).await
    }

    async fn open(
        clock: Arc<ManualClock>,
        issuer: TestIssuer,
        network: Arc<TestNetwork>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = config(network.issuers());
        change(&mut config);
        let metrics = SharedMetrics::default();
        let options = AuditOptions::of_server(Role::Resource, &config);
        let shared = Arc::clone(&clock) as _;
        let audit = AuditTrail::start(options, shared, Arc::clone(&metrics)).unwrap();
        let ambient = Ambient {
            redis: SharedRedis::of(&config, Arc::clone(&metrics)).unwrap(),
            clock: Arc::clone(&clock) as _,
            entropy: SeededEntropy::new(1),
            fetcher: Arc::clone(&network) as _,
            guarded: no_web(),
            metrics,
            collector: None,
            audit: audit.clone(),
        };
        Self {
            audit,
            app: App::open(Role::Resource, config, ambient).await.unwrap(),
            clock,
            issuer,
            network,
        }
    }

    /// The production state.
    pub fn state(&self) -> &ResourceState {
        self.app.resource().unwrap()
    }

    /// What it shares with other replicas, if its configuration says so.
    pub fn redis(&self) -> Option<&SharedRedis> {
        self.app.redis()
    }

    /// The draft of a good token of the first issuer: a person's, with both scopes.
    pub fn token(&self) -> TokenDraft {
        self.token_of(&self.issuer)
    }

    /// The draft of a good token of this issuer.
    pub fn token_of(&self, issuer: &TestIssuer) -> TokenDraft {
        use portcullis_common::clock::Clock as _;
        issuer.token(IDENTIFIER, self.clock.now())
    }

    /// Sends a request.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.router().clone().oneshot(request).await.unwrap();
        Answer::read(response).await
    }

    /// Calls a tool over revision 2026-07-28.
    pub async fn call(&self, token: &str, tool: &str, arguments: Value) -> Answer {
        let params = json!({ "name": tool, "arguments": arguments });
        self.send(modern(token, "tools/call", params)).await
    }

    /// Calls `echo` with this token.
    pub async fn echo(&self, token: &str) -> Answer {
        self.call(token, "echo", json!({ "message": "hi" })).await
    }

    /// How many notes this token's person has.
    pub async fn count_notes(&self, token: &str) -> u64 {
        let answer = self.call(token, "note_list", json!({})).await;
        let message = answer.message();
        let total = message["result"]["structuredContent"]["total"].as_u64();
        total.unwrap_or_else(|| panic!("{message}"))
    }

    /// Opens a session of revision 2025-11-25.
    pub async fn open_session(&self, token: &str) -> String {
        let answer = self.send(legacy(token, None, &initialize())).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let session = answer.header("mcp-session-id").to_owned();
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let answer = self.send(legacy(token, Some(&session), &ready)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        session
    }

    /// A request to the plain HTTP view.
    pub async fn rest(&self, token: &str, method: Method, path: &str, body: &Value) -> Answer {
        let mut request = request(method, path, token);
        if !body.is_null() {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            *request.body_mut() = Body::from(body.to_string());
        }
        self.send(request).await
    }

    /// Serves on its loopback address until the runtime of the test ends.
    pub fn listen(self) -> SocketAddr {
        let address = self.app.address();
        tokio::spawn(self.app.run(std::future::pending()));
        address
    }
}

/// A request of revision 2026-07-28, with the headers and the metadata that it demands.
pub fn modern(token: &str, method: &str, mut params: Value) -> Request<Body> {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut request = post(token, "");
    let target = params.get("name").or_else(|| params.get("uri"));
    let target = target.and_then(Value::as_str).map(str::to_owned);
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    set(&mut request, "mcp-protocol-version", "2026-07-28");
    set(&mut request, "mcp-method", method);
    if let Some(target) = target {
        let plain = target.bytes().all(|byte| byte.is_ascii_graphic());
        let value = if plain { target } else { sentinel(&target) };
        set(&mut request, "mcp-name", &value);
    }
    *request.body_mut() = Body::from(body.to_string());
    request
}

/// A header value that stands for any text (MCP 2026-07-28, streamable HTTP).
pub fn sentinel(text: &str) -> String {
    format!("=?base64?{}?=", STANDARD.encode(text))
}

/// A request of revision 2025-11-25.
pub fn legacy(token: &str, session: Option<&str>, body: &Value) -> Request<Body> {
    let mut request = post(token, &body.to_string());
    set(&mut request, "mcp-protocol-version", "2025-11-25");
    if let Some(session) = session {
        set(&mut request, "mcp-session-id", session);
    }
    request
}

/// The message that begins a session.
pub fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    }})
}

/// A post of any text to the MCP endpoint.
pub fn post(token: &str, body: &str) -> Request<Body> {
    let mut request = request(Method::POST, "/mcp", token);
    set(&mut request, "content-type", "application/json");
    *request.body_mut() = Body::from(body.to_owned());
    request
}

/// A request without a body; an empty token is none.
pub fn request(method: Method, path: &str, token: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static(MCP_HOST));
    let both = "application/json, text/event-stream";
    headers.insert(ACCEPT, HeaderValue::from_static(both));
    if !token.is_empty() {
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        headers.insert(AUTHORIZATION, bearer);
    }
    request
}

/// Sets one header of a request.
pub fn set(request: &mut Request<Body>, name: &'static str, value: &str) {
    let value = HeaderValue::try_from(value).unwrap();
    request.headers_mut().insert(name, value);
}

/// What an operator would have written.
fn config(issuers: &[TestIssuer]) -> Config {
    let issuers: Vec<&str> = issuers.iter().map(TestIssuer::identifier).collect();
    let text = format!(
        "[server]\n\
         public_url = \"https://{MCP_HOST}\"\n\
         listen = \"127.0.0.1:0\"\n\
         [resource]\n\
         authorization_servers = {issuers:?}\n"
    );
    let sources = Sources {
        file: Some((Path::new("test.toml"), &text)),
        environment: &BTreeMap::new(),
        read_secret: &|_| Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    load(Role::Resource, sources).unwrap()
}
