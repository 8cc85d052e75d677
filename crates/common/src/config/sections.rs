//! What can be configured, as types. Defaults and texts of the keys stand in `keys`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::OtlpConfig;
use crate::audit::AuditSink;
use crate::client_certificate::CertificateHeaders;
use crate::distinguished_name::DistinguishedName;
use crate::issuer::Issuer;
use crate::redis::RedisUrl;
use crate::resource_indicator::ResourceIndicator;
use crate::scope::{Scope, ScopeHierarchy};
use crate::secret::ClientSecret;

/// Everything that was configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[redis]`; `None` without a URL.
    pub redis: Option<RedisConfig>,
    /// `[[scopes]]`
    pub scopes: ScopeHierarchy,
    /// `[authz]`
    pub authz: AuthzConfig,
    /// `[resource]`
    pub resource: ResourceConfig,
    /// `[outbound]`
    pub outbound: OutboundConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[metrics] listen`
    pub metrics_listen: Option<SocketAddr>,
    /// `[otlp]`; `None` means that no spans are sent.
    pub otlp: Option<OtlpConfig>,
    /// `[audit] file`; `None` means that there is no audit trail.
    pub audit_sink: Option<AuditSink>,
}

/// The listener.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where people and clients reach this server; no trailing slash.
    pub public_url: String,
    /// The address to bind.
    pub listen: SocketAddr,
    /// Peers whose forwarded headers count.
    pub trusted_proxies: Vec<IpNet>,
    /// Where those peers say whose certificate they saw; `None` means that nobody is believed.
    pub client_certificate_headers: Option<CertificateHeaders>,
    /// Certificate and key of native HTTPS; `None` means plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How long a stop waits for requests under way.
    pub shutdown_grace: Duration,
    /// How long a peer may take to send its request head.
    pub header_timeout: Duration,
    /// How long a peer may take to send its request body.
    pub body_timeout: Duration,
}

/// The files of native HTTPS, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and the intermediate ones after it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of client certificates; `None` means that clients are not asked for one.
    pub client_ca: Option<PathBuf>,
}

impl ServerConfig {
    /// Whether the certificate of a client can come to be known here: in a handshake of ours, or
    /// from a front that verified it.
    pub fn learns_of_client_certificates(&self) -> bool {
        let asks = self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        asks || self.client_certificate_headers.is_some()
    }
}

/// The database.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `sqlite://relative`, `sqlite:///absolute` or `postgres://…`.
    pub url: String,
    /// Whether the schema is brought up to date at start.
    pub migrate: MigrateMode,
}

/// What to do about an old schema at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrateMode {
    /// Bring it up to date, under a lock.
    Auto,
    /// Refuse to start.
    Off,
}

/// What replicas share.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where it is, and how to log in there.
    pub url: RedisUrl,
    /// What to do about limits while it is away.
    pub when_away: WhenAway,
}

/// What becomes of what is limited while Redis is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenAway {
    /// Each process limits by itself, with the same numbers.
    Local,
    /// It is refused with 503.
    Refuse,
}

/// The authorization server.
#[derive(Clone, Debug)]
pub struct AuthzConfig {
    /// The issuer identifier.
    pub issuer: Issuer,
    /// The audience of a token asked for without `resource`; `None` if no resource is known.
    pub default_resource: Option<ResourceIndicator>,
    /// The scope of a request without `scope`.
    pub default_scopes: Scope,
    /// Life of an access token.
    pub access_token_ttl: Duration,
    /// Life of an authorization code.
    pub code_ttl: Duration,
    /// A refresh token ends when unused for this long.
    pub refresh_token_idle_ttl: Duration,
    /// A family of refresh tokens ends this long after the login.
    pub refresh_token_ttl: Duration,
    /// How long after a rotation the predecessor still gives the same successor.
    pub refresh_grace: Duration,
    /// Absolute life of a browser session.
    pub session_ttl: Duration,
    /// A browser session ends when unused for this long.
    pub session_idle_ttl: Duration,
    /// The algorithm of new signatures.
    pub signing_alg: SigningAlgorithm,
    /// Age at which the signing key is replaced.
    pub key_rotation: Duration,
    /// 32 bytes that encrypt the private keys in the store.
    pub key_encryption_key: Option<ClientSecret>,
    /// Who may register clients.
    pub registration: Registration,
    /// Registrations per minute and source.
    pub registration_per_minute: u32,
    /// A registered client that was never used ends after this long.
    pub unused_client_ttl: Duration,
    /// Whether Client ID Metadata Documents are accepted.
    pub cimd: bool,
    /// Hosts whose documents are accepted; empty means any.
    pub cimd_hosts: Vec<String>,
    /// Shortest time a document is remembered.
    pub cimd_cache_min: Duration,
    /// Longest time a document is remembered.
    pub cimd_cache_max: Duration,
    /// Wrong passwords per window, account and source; wrong secrets per client of the configuration
    /// and source.
    pub login_attempts: u32,
    /// The window of `login_attempts`.
    pub login_window: Duration,
    /// Private-use schemes that native clients may redirect to.
    pub private_schemes: Vec<String>,
    /// Every resource that tokens can be asked for, the built-in one first.
    pub resources: Vec<ResourceDeclaration>,
    /// `[[authz.clients]]`
    pub clients: Vec<ClientConfig>,
}

/// The algorithm of our signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// Ed25519 (RFC 8037 §3.1).
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits (RFC 7518 §3.3).
    Rs256,
}

impl SigningAlgorithm {
    /// The name in a JOSE header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// Reads the name in a JOSE header.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Es256, Self::EdDsa, Self::Rs256]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

/// Who may register clients (RFC 7591).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Everybody, within limits.
    Open,
    /// Holders of an initial access token.
    Token,
    /// Nobody: there is no endpoint.
    Off,
}

/// A resource that tokens can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceDeclaration {
    /// Its identifier, which becomes `aud`.
    pub identifier: ResourceIndicator,
    /// Its name for people.
    pub name: String,
    /// The scopes that mean something there.
    pub scopes: Scope,
}

/// A client that the configuration defines.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `client_id`
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// How it authenticates.
    pub authentication: Authentication,
    /// The grants it may use.
    pub grants: Vec<GrantType>,
    /// Where its users may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The scopes it may ask for; `None` means all.
    pub scope: Option<Scope>,
    /// The resources about whose tokens it may ask.
    pub introspect: Vec<ResourceIndicator>,
}

/// How a configured client proves who it is.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// It cannot: a public client.
    Public,
    /// By a secret, in the way named.
    Secret(TokenEndpointAuthMethod, ClientSecret),
    /// By a client certificate with this subject (RFC 8705 §2.1).
    Certificate(DistinguishedName),
}

/// How a client authenticates at the token endpoint (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenEndpointAuthMethod {
    /// `none`: a public client.
    None,
    /// `client_secret_basic`
    ClientSecretBasic,
    /// `client_secret_post`
    ClientSecretPost,
    /// `tls_client_auth` (RFC 8705 §2.1)
    TlsClientAuth,
}

impl TokenEndpointAuthMethod {
    /// All that are built.
    pub const ALL: [Self; 4] = [
        Self::None,
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::TlsClientAuth,
    ];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::TlsClientAuth => "tls_client_auth",
        }
    }

    /// Reads the registered name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// The grants of this product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantType {
    /// `authorization_code`
    AuthorizationCode,
    /// `refresh_token`
    RefreshToken,
    /// `client_credentials`
    ClientCredentials,
}

impl GrantType {
    /// All that are known.
    pub const ALL: [Self; 3] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
    ];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
        }
    }

    /// Reads the registered name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// The protected resource server.
#[derive(Clone, Debug)]
pub struct ResourceConfig {
    /// Our identifier: the URL of the MCP endpoint.
    pub identifier: ResourceIndicator,
    /// The issuers whose tokens count, in the order of the metadata.
    pub authorization_servers: Vec<IssuerConfig>,
    /// The scopes of the metadata.
    pub scopes: Scope,
    /// The scopes of the first challenge.
    pub challenge_scopes: Scope,
    /// Web origins that may call.
    pub allowed_origins: Vec<String>,
    /// Hosts under which this server answers, as `host` or `host:port`, in lower case.
    pub allowed_hosts: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Largest request body, in bytes.
    pub max_body: usize,
    /// `[resource.jwks]`
    pub jwks: JwksCacheConfig,
}

/// An issuer whose tokens count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerConfig {
    /// Its identifier, compared exactly with `iss`.
    pub issuer: Issuer,
    /// Where its metadata and keys are fetched instead, if it is reached another way from here.
    pub internal_url: Option<String>,
    /// The algorithms accepted.
    pub algorithms: Vec<String>,
    /// The header types accepted, in lower case and without `application/`.
    pub token_types: Vec<String>,
    /// The path of the claim with the roles, such as `realm_access.roles`.
    pub roles_claim: Vec<String>,
}

/// How keys of issuers are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksCacheConfig {
    /// Age at which a set is fetched again.
    pub ttl: Duration,
    /// Shortest time between two fetches of one issuer's set.
    pub cooldown: Duration,
    /// How long a set outlives its age while the issuer is down.
    pub stale_for: Duration,
    /// Longest time of one fetch.
    pub timeout: Duration,
}

/// Outbound requests.
#[derive(Clone, Debug, Default)]
pub struct OutboundConfig {
    /// PEM file with authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The DNS server that every guarded fetch asks.
    pub dns_server: Option<SocketAddr>,
    /// Networks that guarded fetches may reach though they are not public.
    pub allow: Vec<IpNet>,
}

/// The log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Its form; `None` means text on a terminal, else JSON.
    pub format: Option<LogFormat>,
    /// The filter, such as `info` or `info,portcullis_authz=debug`.
    pub level: String,
    /// The file; `None` means standard error.
    pub file: Option<PathBuf>,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}
