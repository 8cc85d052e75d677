//! The production authorization server, in process, with time and randomness in the hand of the
//! test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use portcullis_authz::router::router;
use portcullis_authz::state::AppState;
use portcullis_common::audit::{AuditOptions, AuditTrail};
use portcullis_common::clock::SharedClock;
use portcullis_common::config::{
    Authentication, AuthzConfig, ClientConfig, Config, GrantType, IssuerConfig, JwksCacheConfig,
    LogConfig, OutboundConfig, Registration, ResourceConfig, ResourceDeclaration, Role,
    ServerConfig, SigningAlgorithm, StoreConfig, TokenEndpointAuthMethod,
};
use portcullis_common::entropy::SharedEntropy;
use portcullis_common::issuer::Issuer;
use portcullis_common::metrics::SharedMetrics;
use portcullis_common::outbound::GuardedFetcher;
use portcullis_common::redis::SharedRedis;
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::{Scope, ScopeDeclaration, ScopeHierarchy, ScopeToken};
use portcullis_common::secret::ClientSecret;
use serde_json::Value;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

pub use crate::answer::Answer;
use crate::clock::ManualClock;
use crate::database::TestDatabase;
use crate::entropy::SeededEntropy;
use crate::web::{TestWeb, no_web};

/// The issuer of the default configuration.
pub const ISSUER: &str = "http://localhost:8080";
/// The built-in resource of the default configuration, where all three scopes mean something.
pub const MCP: &str = "http://localhost:8080/mcp";
/// Another resource, where only `mcp:read` means something.
pub const FILES: &str = "https://files.example/mcp";
/// A client with `client_secret_basic` that may use client credentials with every scope.
pub const BASIC: (&str, &str) = ("svc-basic", "basic-secret");
/// A client like [`BASIC`] with `client_secret_post`.
pub const POST: (&str, &str) = ("svc-post", "post-secret");
/// A client like [`BASIC`] that may ask for `mcp:write` alone, which implies `mcp:read`.
pub const WRITER: (&str, &str) = ("svc-writer", "writer-secret");
/// A confidential client for people, without client credentials.
pub const WEB: (&str, &str) = ("web", "web-secret");
/// The redirect URI of [`WEB`].
pub const WEB_CALLBACK: &str = "https://app.test/cb";
/// A public client on the person's machine.
pub const CLI: &str = "cli";
/// The redirect URI of [`CLI`], at one of the ports that it may take.
pub const CLI_CALLBACK: &str = "http://127.0.0.1:49152/callback";
/// A public client with two redirect URIs that may ask for `mcp:read` alone.
pub const SPA: &str = "spa";
/// The redirect URIs of [`SPA`].
pub const SPA_CALLBACKS: [&str; 2] = ["https://spa.test/cb?a=1", "http://[::1]/cb"];
/// A public client that the operator allowed too much: client credentials.
pub const PUBLIC: &str = "app";

/// A configuration as an operator without wishes gets it, with a second resource and some clients.
pub fn config(store: StoreConfig) -> Config {
    let issuer = Issuer::parse(ISSUER).unwrap();
    let mcp = ResourceIndicator::parse(MCP).unwrap();
    Config {
        server: ServerConfig {
            public_url: ISSUER.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            trusted_proxies: Vec::new(),
            client_certificate_headers: None,
            tls: None,
            shutdown_grace: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
        },
        store,
        redis: None,
        scopes: scopes(),
        authz: authz(issuer.clone(), &mcp),
        resource: resource(issuer, mcp),
        outbound: OutboundConfig::default(),
        otlp: None,
        log: LogConfig {
            format: None,
            level: "info".to_owned(),
            file: None,
        },
        metrics_listen: None,
        audit_sink: None,
    }
}

fn scopes() -> ScopeHierarchy {
    let declare = |name, implies| ScopeDeclaration {
        name: ScopeToken::parse(name).unwrap(),
        text: format!("Use {name}."),
        implies: scope(implies),
    };
    ScopeHierarchy::new(vec![
        declare("mcp:read", ""),
        declare("mcp:write", "mcp:read"),
        declare("mcp:infer", ""),
    ])
}

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

fn authz(issuer: Issuer, mcp: &ResourceIndicator) -> AuthzConfig {
    const DAY: Duration = Duration::from_hours(24);
    let declare = |identifier: &str, scopes| ResourceDeclaration {
        identifier: ResourceIndicator::parse(identifier).unwrap(),
        name: identifier.to_owned(),
        scopes: scope(scopes),
    };
    AuthzConfig {
        issuer,
        default_resource: Some(mcp.clone()),
        default_scopes: scope("mcp:read"),
        access_token_ttl: Duration::from_mins(10),
        code_ttl: Duration::from_mins(1),
        refresh_token_idle_ttl: DAY * 30,
        refresh_token_ttl: DAY * 180,
        refresh_grace: Duration::from_secs(30),
        session_ttl: DAY / 2,
        session_idle_ttl: Duration::from_hours(1),
        signing_alg: SigningAlgorithm::Es256,
        key_rotation: DAY * 90,
        key_encryption_key: None,
        registration: Registration::Open,
        registration_per_minute: 20,
        unused_client_ttl: DAY,
        cimd: true,
        cimd_hosts: Vec::new(),
        cimd_cache_min: Duration::from_secs(30),
        cimd_cache_max: DAY,
        login_attempts: 5,
        login_window: Duration::from_mins(5),
        private_schemes: vec!["cursor".to_owned()],
        resources: vec![
            declare(MCP, "mcp:read mcp:write mcp:infer"),
            declare(FILES, "mcp:read"),
        ],
        clients: clients(),
    }
}

fn clients() -> Vec<ClientConfig> {
    use TokenEndpointAuthMethod::{ClientSecretBasic, ClientSecretPost};
    let client =
        |(id, secret): (&str, &str), method, grants, own_scope: Option<&str>| ClientConfig {
            id: id.to_owned(),
            name: id.to_owned(),
            authentication: Authentication::Secret(method, ClientSecret::new(secret)),
            grants,
            redirect_uris: Vec::new(),
            scope: own_scope.map(scope),
            introspect: Vec::new(),
        };
    let credentials = || vec![GrantType::ClientCredentials];
    let people = || vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
    vec![
        client(BASIC, ClientSecretBasic, credentials(), None),
        client(POST, ClientSecretPost, credentials(), None),
        client(WRITER, ClientSecretBasic, credentials(), Some("mcp:write")),
        ClientConfig {
            name: "Web & Söhne".to_owned(),
            redirect_uris: vec![WEB_CALLBACK.to_owned()],
            ..client(WEB, ClientSecretBasic, people(), None)
        },
        ClientConfig {
            authentication: Authentication::Public,
            redirect_uris: vec![
                "http://127.0.0.1/callback".to_owned(),
                "http://localhost/callback".to_owned(),
            ],
            ..client((CLI, ""), ClientSecretBasic, people(), None)
        },
        ClientConfig {
            authentication: Authentication::Public,
            redirect_uris: SPA_CALLBACKS.map(str::to_owned).to_vec(),
            ..client((SPA, ""), ClientSecretBasic, people(), Some("mcp:read"))
        },
        ClientConfig {
            authentication: Authentication::Public,
            ..client((PUBLIC, ""), ClientSecretBasic, credentials(), None)
        },
    ]
}

fn resource(issuer: Issuer, identifier: ResourceIndicator) -> ResourceConfig {
    ResourceConfig {
        identifier,
        authorization_servers: vec![IssuerConfig {
            issuer,
            internal_url: None,
            algorithms: ["ES256", "EdDSA", "RS256", "PS256"]
                .map(str::to_owned)
                .to_vec(),
            token_types: vec!["at+jwt".to_owned()],
            roles_claim: vec!["roles".to_owned()],
        }],
        scopes: scopes().names(),
        challenge_scopes: scope("mcp:read mcp:write"),
        allowed_origins: Vec::new(),
        allowed_hosts: vec!["localhost:8080".to_owned()],
        leeway: Duration::from_secs(30),
        max_body: 1024 * 1024,
        jwks: JwksCacheConfig {
            ttl: Duration::from_hours(1),
            cooldown: Duration::from_secs(10),
            stale_for: Duration::from_hours(24),
            timeout: Duration::from_secs(3),
        },
    }
}

/// A running authorization server.
#[derive(Clone, Debug)]
pub struct Authz {
    /// The production state.
    pub state: AppState,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// What it shares with others, if its configuration says so.
    pub redis: Option<SharedRedis>,
    /// What it counts about that.
    pub metrics: SharedMetrics,
    /// Its audit trail, which is off unless the configuration says otherwise.
    pub audit: AuditTrail,
    router: Router,
}

impl Authz {
    /// Starts one with the default configuration.
    pub async fn start(database: &TestDatabase) -> Self {
        Self::start_with(config(database.config())).await
    }

    /// Starts one with another configuration.
    pub async fn start_with(config: Config) -> Self {
        Self::start_at(config, ManualClock::new()).await
    }

    /// Starts one with another configuration and a clock that others share.
    pub async fn start_at(config: Config, clock: Arc<ManualClock>) -> Self {
        Self::start_seeded(config, clock, 1).await
    }

    /// Starts one whose random numbers are not those of the others, which a second server on the
    /// same database needs.
    pub async fn start_seeded(config: Config, clock: Arc<ManualClock>, seed: u64) -> Self {
        Self::start_among(config, clock, seed, no_web()).await
    }

    /// Starts one that reaches this web.
    pub async fn start_on(web: &TestWeb, config: Config) -> Self {
        Self::start_among(config, ManualClock::new(), 1, web.fetcher()).await
    }

    /// Starts one of several that reach the same web.
    pub async fn start_among(
        config: Config,
        clock: Arc<ManualClock>,
        seed: u64,
        fetcher: GuardedFetcher,
    ) -> Self {
        let shared_clock: SharedClock = Arc::clone(&clock) as _;
        let entropy: SharedEntropy = SeededEntropy::new(seed);
        let metrics = SharedMetrics::default();
        let redis = SharedRedis::of(&config, Arc::clone(&metrics)).unwrap();
        let audit = AuditTrail::start(
            AuditOptions::of_server(Role::Authz, &config),
            Arc::clone(&shared_clock),
            Arc::clone(&metrics),
        )
        .unwrap();
        let config = Arc::new(config);
        let (shared, trail) = (redis.clone(), audit.clone());
        let state = AppState::open(config, shared_clock, entropy, fetcher, shared, trail);
        let state = Box::pin(state).await.unwrap();
        Self {
            router: router(state.clone()),
            state,
            clock,
            redis,
            metrics,
            audit,
        }
    }

    /// Sends a request.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        Answer::read(response).await
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    /// Posts a body to the token endpoint as a form, with a Basic header if there are credentials.
    pub async fn token(&self, basic: Option<(&str, &str)>, body: &str) -> Answer {
        self.send(token_request(basic, body)).await
    }

    /// Registers a client.
    pub async fn register(&self, metadata: &Value) -> Answer {
        self.send(json_request(Method::POST, "/register", None, metadata))
            .await
    }

    /// Gets a token for [`BASIC`] with the default scope and resource.
    pub async fn issue(&self) -> String {
        let answer = self
            .token(Some(BASIC), "grant_type=client_credentials")
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Serves on a loopback address for as long as the runtime of the test lives.
    pub async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

/// A request to the token endpoint, with a Basic header if there are credentials.
pub fn token_request(basic: Option<(&str, &str)>, body: &str) -> Request<Body> {
    let mut request = Request::post("/token").header(CONTENT_TYPE, FORM);
    if let Some((id, secret)) = basic {
        request = request.header(AUTHORIZATION, basic_header(id, secret));
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// A request with a JSON body, and with a bearer token if there is one.
pub fn json_request(
    method: Method,
    path: &str,
    bearer: Option<&str>,
    body: &Value,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(CONTENT_TYPE, "application/json");
    if let Some(token) = bearer {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Body::from(body.to_string())).unwrap()
}

/// The content type of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The value of a Basic header; both halves are encoded as RFC 6749 §2.3.1 asks.
pub fn basic_header(id: &str, secret: &str) -> String {
    use base64::Engine as _;
    let encode =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(id), encode(secret));
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}
