//! From the written values to the whole configuration; every problem is reported at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use url::Url;

use super::raw::{Problem, Raw, Sources};
use super::sections::{
    AuthzConfig, Config, IssuerConfig, JwksCacheConfig, LogConfig, LogFormat, MigrateMode,
    OutboundConfig, RedisConfig, Registration, ResourceConfig, ResourceDeclaration, ServerConfig,
    SigningAlgorithm, StoreConfig, WhenAway,
};
use super::{listener, otlp, tables, values};
use crate::issuer::{Issuer, is_loopback_host};
use crate::resource_indicator::ResourceIndicator;
use crate::scope::{Scope, ScopeHierarchy};
use crate::secret::ClientSecret;

/// Which servers the process runs; some defaults follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Both, on one address.
    Both,
    /// The authorization server alone.
    Authz,
    /// The resource server alone.
    Resource,
}

impl Role {
    /// The port where nothing is configured.
    const fn port(self) -> u16 {
        match self {
            Self::Both => 8080,
            Self::Authz => 9000,
            Self::Resource => 9100,
        }
    }
}

/// Where the halves look for each other when nothing is configured.
const DEFAULT_ISSUER: &str = "http://localhost:9000";
const DEFAULT_RESOURCE: &str = "http://localhost:9100/mcp";

/// Reads the whole configuration, or gives every problem in it.
pub fn load(role: Role, sources: Sources<'_>) -> Result<Config, Vec<Problem>> {
    let mut raw = Raw::gather(sources);
    let scopes = tables::scopes(&mut raw);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, role.port()));
    let server = listener::load(&mut raw, listen);
    let identifier = identifier(&mut raw, &server);
    let authz = authz(&mut raw, role, &server, identifier.as_ref(), &scopes);
    let resource = resource(&mut raw, role, &server, authz.as_ref(), identifier, &scopes);
    if let (Some(authz), Role::Both | Role::Authz) = (&authz, role) {
        listener::check_clients(&mut raw, &server, &authz.clients);
    }
    let config = (|| {
        Some(Config {
            store: store(&mut raw),
            redis: redis(&mut raw),
            outbound: outbound(&mut raw),
            log: log(&mut raw),
            metrics_listen: raw.optional("metrics", "listen", values::address),
            otlp: otlp::load(&mut raw),
            audit_sink: raw.optional("audit", "file", values::audit_sink),
            server,
            scopes,
            authz: authz?,
            resource: resource?,
        })
    })();
    match config {
        Some(config) if raw.problems.is_empty() => Ok(config),
        _ => Err(raw.problems),
    }
}

fn store(raw: &mut Raw<'_>) -> StoreConfig {
    let url = raw.value("store", "url", String::new(), values::text);
    let is_known = ["sqlite://", "postgres://", "postgresql://"]
        .iter()
        .any(|scheme| {
            url.strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty())
        });
    if !is_known {
        let text = "write sqlite://relative.db, sqlite:///absolute.db or postgres://…";
        raw.problem(raw.place("store", "url"), text);
    }
    let modes = [("auto", MigrateMode::Auto), ("off", MigrateMode::Off)];
    let migrate = raw.value("store", "migrate", MigrateMode::Auto, |value| {
        values::choice(value, &modes)
    });
    StoreConfig { url, migrate }
}

fn redis(raw: &mut Raw<'_>) -> Option<RedisConfig> {
    let choices = [("local", WhenAway::Local), ("refuse", WhenAway::Refuse)];
    let when_away = raw.value("redis", "when_away", WhenAway::Local, |value| {
        values::choice(value, &choices)
    });
    let url = raw.optional("redis", "url", values::redis)?;
    Some(RedisConfig { url, when_away })
}

fn outbound(raw: &mut Raw<'_>) -> OutboundConfig {
    OutboundConfig {
        ca_file: raw
            .optional("outbound", "ca_file", values::text)
            .map(Into::into),
        dns_server: raw.optional("outbound", "dns_server", values::address),
        allow: raw.value("outbound", "allow", Vec::new(), values::networks),
    }
}

fn log(raw: &mut Raw<'_>) -> LogConfig {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    LogConfig {
        format: raw.optional("log", "format", |value| values::choice(value, &formats)),
        level: raw.value("log", "level", "info".to_owned(), values::text),
        file: raw.optional("log", "file", values::text).map(Into::into),
    }
}

/// The built-in resource.
fn identifier(raw: &mut Raw<'_>, server: &ServerConfig) -> Option<ResourceIndicator> {
    if raw.is_set("resource", "identifier") {
        return raw.optional("resource", "identifier", values::resource);
    }
    ResourceIndicator::parse(&format!("{}/mcp", server.public_url)).ok()
}

fn authz(
    raw: &mut Raw<'_>,
    role: Role,
    server: &ServerConfig,
    built_in: Option<&ResourceIndicator>,
    scopes: &ScopeHierarchy,
) -> Option<AuthzConfig> {
    let issuer = if raw.is_set("authz", "issuer") {
        raw.optional("authz", "issuer", values::issuer)
    } else {
        Issuer::parse(&server.public_url).ok()
    };
    let private_schemes = raw.value("authz", "private_schemes", Vec::new(), values::list);
    let resources = resources(raw, role, built_in, &scopes.names());
    let first = resources.first().map(|entry| entry.identifier.clone());
    let default_resource = raw
        .optional("authz", "default_resource", values::resource)
        .or(first);
    if let Some(default) = &default_resource
        && !resources.iter().any(|entry| entry.identifier == *default)
    {
        let text = "it is not one of [[authz.resources]]; add it there";
        raw.problem(raw.place("authz", "default_resource"), text);
    }
    let lifetimes = Lifetimes::read(raw);
    let algorithms = [
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Rs256,
    ]
    .map(|algorithm| (algorithm.name(), algorithm));
    let registrations = [
        ("open", Registration::Open),
        ("token", Registration::Token),
        ("off", Registration::Off),
    ];
    Some(AuthzConfig {
        issuer: issuer?,
        default_resource,
        default_scopes: declared_scope(raw, "authz", "default_scopes", scopes),
        access_token_ttl: lifetimes.access_token,
        code_ttl: lifetimes.code,
        refresh_token_idle_ttl: lifetimes.refresh_idle,
        refresh_token_ttl: lifetimes.refresh,
        refresh_grace: lifetimes.grace,
        session_ttl: lifetimes.session,
        session_idle_ttl: lifetimes.session_idle,
        signing_alg: raw.value("authz", "signing_alg", SigningAlgorithm::Es256, |value| {
            values::choice(value, &algorithms)
        }),
        key_rotation: lifetimes.key_rotation,
        key_encryption_key: raw
            .optional("authz", "key_encryption_key", values::secret)
            .map(ClientSecret::new),
        registration: raw.value("authz", "registration", Registration::Open, |value| {
            values::choice(value, &registrations)
        }),
        registration_per_minute: raw.value("authz", "registration_per_minute", 20, values::number),
        unused_client_ttl: lifetimes.unused_client,
        cimd: raw.value("authz", "cimd", false, values::switch),
        cimd_hosts: raw.value("authz", "cimd_hosts", Vec::new(), values::hosts),
        cimd_cache_min: lifetimes.cimd_min,
        cimd_cache_max: lifetimes.cimd_max,
        login_attempts: raw.value("authz", "login_attempts", 5, values::number),
        login_window: lifetimes.login_window,
        clients: tables::clients(raw, &private_schemes),
        private_schemes,
        resources,
    })
}

/// Every resource that tokens can be asked for, the built-in one first.
fn resources(
    raw: &mut Raw<'_>,
    role: Role,
    built_in: Option<&ResourceIndicator>,
    declared: &Scope,
) -> Vec<ResourceDeclaration> {
    let mut resources = tables::resources(raw, declared);
    let own = match role {
        Role::Both | Role::Resource => built_in.cloned(),
        // Alone, the authorization server has no resource of its own.
        Role::Authz if resources.is_empty() => ResourceIndicator::parse(DEFAULT_RESOURCE).ok(),
        Role::Authz => None,
    };
    let known = own
        .as_ref()
        .is_some_and(|own| resources.iter().any(|one| one.identifier == *own));
    if let Some(identifier) = own.filter(|_| !known) {
        let name = "MCP server".to_owned();
        resources.insert(
            0,
            ResourceDeclaration {
                identifier,
                name,
                scopes: declared.clone(),
            },
        );
    }
    for resource in &resources {
        let unknown = resource.scopes.difference(declared);
        if !unknown.is_empty() {
            let text = format!("{unknown} is not declared in [[scopes]]");
            raw.problem("[[authz.resources]] scopes", text);
        }
    }
    resources
}

struct Lifetimes {
    access_token: Duration,
    code: Duration,
    refresh_idle: Duration,
    refresh: Duration,
    grace: Duration,
    session: Duration,
    session_idle: Duration,
    key_rotation: Duration,
    unused_client: Duration,
    cimd_min: Duration,
    cimd_max: Duration,
    login_window: Duration,
}

impl Lifetimes {
    fn read(raw: &mut Raw<'_>) -> Self {
        let mut read = |name| raw.value("authz", name, Duration::from_mins(1), values::duration);
        let found = Self {
            access_token: read("access_token_ttl"),
            code: read("code_ttl"),
            refresh_idle: read("refresh_token_idle_ttl"),
            refresh: read("refresh_token_ttl"),
            grace: read("refresh_grace"),
            session: read("session_ttl"),
            session_idle: read("session_idle_ttl"),
            key_rotation: read("key_rotation"),
            unused_client: read("unused_client_ttl"),
            cimd_min: read("cimd_cache_min"),
            cimd_max: read("cimd_cache_max"),
            login_window: read("login_window"),
        };
        let mut limit = |holds: bool, name: &str, text: &str| {
            if !holds {
                raw.problem(raw.place("authz", name), text);
            }
        };
        // OAuth 2.1 §4.1.2: a code lives ten minutes at most.
        limit(
            found.code <= Duration::from_mins(10),
            "code_ttl",
            "it must be at most 10m",
        );
        let hour = Duration::from_hours(1);
        limit(
            found.access_token <= hour,
            "access_token_ttl",
            "it must be at most 1h",
        );
        let longer = "it must not be longer than refresh_token_ttl";
        limit(
            found.refresh_idle <= found.refresh,
            "refresh_token_idle_ttl",
            longer,
        );
        let longer = "it must not be longer than session_ttl";
        limit(
            found.session_idle <= found.session,
            "session_idle_ttl",
            longer,
        );
        let longer = "it must not be longer than cimd_cache_max";
        limit(found.cimd_min <= found.cimd_max, "cimd_cache_min", longer);
        found
    }
}

/// A scope all of whose tokens are declared. A default that names scopes the operator did not
/// declare shrinks to those that are.
fn declared_scope(
    raw: &mut Raw<'_>,
    section: &'static str,
    name: &'static str,
    scopes: &ScopeHierarchy,
) -> Scope {
    let scope = raw.value(section, name, Scope::empty(), values::scope);
    let unknown = scope.difference(&scopes.names());
    if !unknown.is_empty() && raw.is_set(section, name) {
        let text = format!("{unknown} is not declared in [[scopes]]");
        raw.problem(raw.place(section, name), text);
    }
    scope.intersection(&scopes.names())
}

fn resource(
    raw: &mut Raw<'_>,
    role: Role,
    server: &ServerConfig,
    authz: Option<&AuthzConfig>,
    identifier: Option<ResourceIndicator>,
    scopes: &ScopeHierarchy,
) -> Option<ResourceConfig> {
    let leeway = raw.value(
        "resource",
        "leeway",
        Duration::from_secs(30),
        values::duration,
    );
    if leeway > Duration::from_mins(1) {
        raw.problem(raw.place("resource", "leeway"), "it must be at most 60s");
    }
    let identifier = identifier?;
    Some(ResourceConfig {
        authorization_servers: authorization_servers(raw, role, authz),
        scopes: if raw.is_set("resource", "scopes") {
            declared_scope(raw, "resource", "scopes", scopes)
        } else {
            scopes.names()
        },
        challenge_scopes: declared_scope(raw, "resource", "challenge_scopes", scopes),
        allowed_origins: raw.value("resource", "allowed_origins", Vec::new(), values::origins),
        allowed_hosts: raw
            .optional("resource", "allowed_hosts", values::hosts)
            .unwrap_or_else(|| own_hosts(server, &identifier)),
        leeway,
        max_body: raw.value("resource", "max_body", 1 << 20, values::size),
        jwks: jwks(raw),
        identifier,
    })
}

fn jwks(raw: &mut Raw<'_>) -> JwksCacheConfig {
    let mut read = |name| {
        raw.value(
            "resource.jwks",
            name,
            Duration::from_secs(1),
            values::duration,
        )
    };
    JwksCacheConfig {
        ttl: read("ttl"),
        cooldown: read("cooldown"),
        stale_for: read("stale_for"),
        timeout: read("timeout"),
    }
}

/// The issuers whose tokens count, each with what is said about it.
fn authorization_servers(
    raw: &mut Raw<'_>,
    role: Role,
    authz: Option<&AuthzConfig>,
) -> Vec<IssuerConfig> {
    let known = tables::issuers(raw);
    let listed = raw.optional("resource", "authorization_servers", values::issuers);
    let default = || match role {
        _ if !known.is_empty() => known.iter().map(|entry| entry.issuer.clone()).collect(),
        Role::Resource => Issuer::parse(DEFAULT_ISSUER).into_iter().collect(),
        Role::Both | Role::Authz => authz
            .map(|authz| authz.issuer.clone())
            .into_iter()
            .collect(),
    };
    let issuers: Vec<Issuer> = listed.unwrap_or_else(default);
    for entry in known
        .iter()
        .filter(|entry| !issuers.contains(&entry.issuer))
    {
        let text = format!(
            "{} is not in [resource] authorization_servers",
            entry.issuer
        );
        raw.problem("[[resource.issuers]] issuer", text);
    }
    issuers
        .into_iter()
        .map(|issuer| {
            let said = known.iter().find(|entry| entry.issuer == issuer).cloned();
            said.unwrap_or_else(|| tables::default_issuer(issuer))
        })
        .collect()
}

/// The hosts of the public URL and of the identifier; on loopback also the other loopback names.
fn own_hosts(server: &ServerConfig, identifier: &ResourceIndicator) -> Vec<String> {
    let mut hosts = Vec::new();
    for text in [server.public_url.as_str(), identifier.as_str()] {
        let Ok(url) = Url::parse(text) else { continue };
        let Some(host) = url.host_str() else { continue };
        let with_port = |host: &str| match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        hosts.push(with_port(host));
        if is_loopback_host(&url) {
            hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(with_port));
        }
    }
    hosts.sort();
    hosts.dedup();
    hosts
}
