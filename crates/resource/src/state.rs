//! The unchanging parts of the resource server, and its one job.

use std::sync::Arc;

use portcullis_common::audit::AuditTrail;
use portcullis_common::clock::SharedClock;
use portcullis_common::config::{Config, ResourceConfig};
use portcullis_common::fetch::SharedFetcher;
use portcullis_common::metrics::SharedMetrics;
use portcullis_common::redis::SharedRedis;
use portcullis_common::trace::Tracer;
use serde_json::{Value, json};

use crate::drain::CallsUnderWay;
use crate::guard::{Guard, GuardParts, SharedSessions};
use crate::mcp::{Registry, RegistryError, RegistryOptions, tools};

/// What the resource server is built from beside its configuration.
#[derive(Clone, Debug)]
pub struct ResourceParts {
    /// The clock.
    pub clock: SharedClock,
    /// How keys of issuers are fetched.
    pub fetcher: SharedFetcher,
    /// Where calls are counted.
    pub metrics: SharedMetrics,
    /// What replicas share, where there are several.
    pub redis: Option<SharedRedis>,
    /// What begins a span for each call of a tool.
    pub tracer: Tracer,
    /// Where calls are recorded.
    pub audit: AuditTrail,
}

/// The resource server. Cloning shares everything.
#[derive(Clone, Debug)]
pub struct ResourceState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: ResourceConfig,
    public_url: String,
    registry: Arc<Registry>,
    guard: Guard,
    calls: CallsUnderWay,
    shared_sessions: Option<SharedSessions>,
}

/// Why the resource server cannot take calls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key of a configured issuer could be fetched yet")]
pub struct NotReady;

impl ResourceState {
    /// Builds the server with the demo tools. Nothing is fetched and nothing can be down yet.
    pub fn new(config: &Config, parts: ResourceParts) -> Result<Self, RegistryError> {
        let registry = tools::demo(RegistryOptions {
            name: "Portcullis".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock: Arc::clone(&parts.clock),
            scopes: config.scopes.clone(),
            settings: settings(config),
        })?;
        let registry = registry
            .counted_in(Arc::clone(&parts.metrics))
            .traced_by(parts.tracer)
            .recorded_in(parts.audit.clone());
        let registry = Arc::new(registry);
        let shared_sessions = parts.redis.clone().map(SharedSessions::new);
        let guard = Guard::new(
            &config.resource,
            GuardParts {
                hierarchy: config.scopes.clone(),
                clock: parts.clock,
                fetcher: parts.fetcher,
                metrics: parts.metrics,
                redis: parts.redis,
                audit: parts.audit,
                policy: Box::new(Arc::clone(&registry)),
            },
        );
        Ok(Self(Arc::new(Inner {
            config: config.resource.clone(),
            public_url: config.server.public_url.clone(),
            registry,
            guard,
            calls: CallsUnderWay::default(),
            shared_sessions,
        })))
    }

    /// `[resource]`
    pub fn config(&self) -> &ResourceConfig {
        &self.0.config
    }

    /// The guard of the MCP endpoint and of its plain HTTP view.
    pub fn guard(&self) -> &Guard {
        &self.0.guard
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    pub(crate) fn public_url(&self) -> &str {
        &self.0.public_url
    }

    pub(crate) fn shared_sessions(&self) -> Option<SharedSessions> {
        self.0.shared_sessions.clone()
    }

    pub(crate) fn calls(&self) -> &CallsUnderWay {
        &self.0.calls
    }

    /// Waits until no call is under way, then ends sessions and open event streams; to be called
    /// when no new connection is accepted any more.
    pub async fn drain(&self) {
        self.0.calls.drain().await;
    }

    /// Whether tokens of every configured issuer can be verified.
    pub fn ready(&self) -> Result<(), NotReady> {
        if self
            .0
            .guard
            .keys()
            .all(portcullis_common::jwks::JwksCache::is_ready)
        {
            Ok(())
        } else {
            Err(NotReady)
        }
    }

    /// Fetches the keys of issuers that are missing or ageing; to be called once a second.
    pub async fn keep_warm(&self) {
        for keys in self.0.guard.keys() {
            keys.keep_warm().await;
        }
    }
}

/// What an admin may read of the configuration over MCP; nothing here is secret.
fn settings(config: &Config) -> Value {
    let resource = &config.resource;
    let issuers = resource.authorization_servers.iter().map(|server| {
        json!({
            "issuer": server.issuer,
            "algorithms": server.algorithms,
            "token_types": server.token_types,
        })
    });
    json!({
        "public_url": config.server.public_url,
        "resource": resource.identifier,
        "issuers": issuers.collect::<Vec<_>>(),
        "scopes": resource.scopes,
        "challenge_scopes": resource.challenge_scopes,
        "allowed_hosts": resource.allowed_hosts,
        "allowed_origins": resource.allowed_origins,
        "leeway_seconds": resource.leeway.as_secs(),
        "max_body_bytes": resource.max_body,
        "jwks": {
            "ttl_seconds": resource.jwks.ttl.as_secs(),
            "cooldown_seconds": resource.jwks.cooldown.as_secs(),
            "stale_for_seconds": resource.jwks.stale_for.as_secs(),
        },
    })
}
