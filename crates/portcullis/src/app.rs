//! The wiring: from configuration to a running process.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use portcullis_authz::state::AppState;
use portcullis_common::audit::{Actor, AuditError, AuditOptions, AuditTrail, Event};
use portcullis_common::clock::{SharedClock, SystemClock};
use portcullis_common::config::{Config, Role};
use portcullis_common::entropy::SharedEntropy;
use portcullis_common::fetch::{HttpFetcher, SharedFetcher};
use portcullis_common::metrics::SharedMetrics;
use portcullis_common::outbound::{GuardedFetcher, GuardedParts};
use portcullis_common::redis::SharedRedis;
use portcullis_resource::{ResourceParts, ResourceState};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::{self, Front, Limits, Readiness};

/// What is handed in: nothing below reads clock, randomness or network by itself.
#[derive(Clone, Debug)]
pub struct Ambient {
    /// The clock.
    pub clock: SharedClock,
    /// The random source.
    pub entropy: SharedEntropy,
    /// How configured addresses are fetched.
    pub fetcher: SharedFetcher,
    /// How addresses that strangers name are fetched.
    pub guarded: GuardedFetcher,
    /// What replicas share, if the configuration names a Redis.
    pub redis: Option<SharedRedis>,
    /// What is counted.
    pub metrics: SharedMetrics,
    /// Where it is recorded who did what.
    pub audit: AuditTrail,
}

impl Ambient {
    /// The real ones.
    pub fn system(role: Role, config: &Config) -> Result<Self, StartError> {
        let ca_file = config.outbound.ca_file.as_deref();
        let fetcher =
            HttpFetcher::new(ca_file).map_err(|error| StartError::Outbound(error.to_string()))?;
        let guarded = GuardedParts::of(config)
            .and_then(|parts| GuardedFetcher::new(parts, ca_file))
            .map_err(|error| StartError::Outbound(error.to_string()))?;
        let clock: SharedClock = Arc::new(SystemClock);
        let metrics = SharedMetrics::default();
        let redis = SharedRedis::of(config, Arc::clone(&metrics))
            .map_err(|error| StartError::Outbound(format!("TLS to Redis: {error}")))?;
        let audit = AuditTrail::start(
            AuditOptions::of_server(role, config),
            Arc::clone(&clock),
            Arc::clone(&metrics),
        )?;
        Ok(Self {
            redis,
            clock,
            entropy: Arc::new(portcullis_common::entropy::SystemEntropy),
            fetcher: Arc::new(fetcher),
            guarded,
            metrics,
            audit,
        })
    }
}

/// Why the process could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error(
        "{address} cannot be bound: {cause}. Is another server running there? [server] listen names another address."
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The audit trail cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Outbound requests cannot be set up.
    #[error("{0}")]
    Outbound(String),
    /// The authorization server.
    #[error(transparent)]
    Authz(#[from] portcullis_authz::state::StartError),
    /// The registry of tools.
    #[error(transparent)]
    Resource(#[from] portcullis_resource::mcp::RegistryError),
}

/// A server that is bound and wired but does not answer yet.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    limits: Limits,
    readiness: Readiness,
    metrics: Option<(TcpListener, Router)>,
    redis: Option<SharedRedis>,
    audit: AuditTrail,
    shutdown: CancellationToken,
}

impl App {
    /// Binds the address first, so that a second process on it ends before it touches the store;
    /// then opens the store and wires the servers of this role.
    pub async fn open(role: Role, config: Config, ambient: Ambient) -> Result<Self, StartError> {
        let bind = |cause| StartError::Bind {
            address: config.server.listen,
            cause,
        };
        let listener = TcpListener::bind(config.server.listen)
            .await
            .map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let shutdown = CancellationToken::new();
        let config = Arc::new(own_issuer_inside(role, config, address));
        let readiness = Readiness {
            authz: match role {
                Role::Both | Role::Authz => {
                    let (clock, entropy) =
                        (Arc::clone(&ambient.clock), Arc::clone(&ambient.entropy));
                    let (config, audit) = (Arc::clone(&config), ambient.audit.clone());
                    let (guarded, redis) = (ambient.guarded, ambient.redis.clone());
                    let state = AppState::open(config, clock, entropy, guarded, redis, audit);
                    Some(Box::pin(state).await?)
                }
                Role::Resource => None,
            },
            resource: match role {
                Role::Both | Role::Resource => {
                    let parts = ResourceParts {
                        clock: ambient.clock,
                        fetcher: ambient.fetcher,
                        metrics: Arc::clone(&ambient.metrics),
                        audit: ambient.audit.clone(),
                    };
                    Some(ResourceState::new(&config, parts)?)
                }
                Role::Authz => None,
            },
            shutdown: shutdown.clone(),
        };
        let metrics = bind_metrics(&config, &ambient.metrics).await?;
        let front = Front::new(&config.server, &*ambient.entropy, ambient.metrics);
        let router = server::layer(routes(&readiness), front);
        let limits = Limits::from(&config.server);
        Ok(Self {
            listener,
            address,
            router,
            limits,
            readiness,
            metrics,
            redis: ambient.redis,
            audit: ambient.audit,
            shutdown,
        })
    }

    /// The address it is bound to; the port is the real one also where 0 was configured.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authorization server, where it runs here.
    pub const fn authz(&self) -> Option<&AppState> {
        self.readiness.authz.as_ref()
    }

    /// The resource server, where it runs here.
    pub const fn resource(&self) -> Option<&ResourceState> {
        self.readiness.resource.as_ref()
    }

    /// Every route with all that stands in front of it, for a caller that brings its own
    /// connections.
    pub const fn router(&self) -> &Router {
        &self.router
    }

    /// The audit trail, or none.
    pub const fn audit(&self) -> &AuditTrail {
        &self.audit
    }

    /// Answers until `stop` is done, then drains and returns.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let audit = self.audit.clone();
        record(&audit, Event::ServerStarted);
        let jobs = tokio::spawn(jobs(
            self.readiness.clone(),
            self.redis,
            self.shutdown.clone(),
        ));
        let serving = server::serve(
            self.listener,
            self.router,
            self.limits,
            self.shutdown.clone(),
        );
        let resource = self.readiness.resource.clone();
        let stopping = async {
            stop.await;
            tracing::info!("stopping: no new connections, requests under way finish");
            self.shutdown.cancel();
            if let Some(resource) = resource {
                // Whatever has not ended by then is cut by the listener.
                let grace = self.limits.shutdown_grace;
                let _ended = tokio::time::timeout(grace, resource.drain()).await;
            }
        };
        let metrics = async {
            if let Some((listener, router)) = self.metrics {
                server::serve(listener, router, self.limits, self.shutdown.clone()).await;
            }
        };
        tokio::join!(serving, metrics, stopping);
        if jobs.await.is_err() {
            tracing::error!("a background job ended in a panic");
        }
        if let Some(authz) = self.readiness.authz {
            authz.store().close().await;
        }
        record(&audit, Event::ServerStopped);
        // The writer says in the log what it could not write.
        let _closed = tokio::task::spawn_blocking(move || audit.close()).await;
        tracing::info!("stopped");
    }
}

/// Records what the server itself did.
fn record(audit: &AuditTrail, event: Event) {
    let mut record = audit.draft(event).by(Actor::Server);
    record.target(env!("CARGO_PKG_VERSION")).succeed();
}

/// The metrics have a listener of their own, so that they are never on the public host.
async fn bind_metrics(
    config: &Config,
    metrics: &SharedMetrics,
) -> Result<Option<(TcpListener, Router)>, StartError> {
    let Some(address) = config.metrics_listen else {
        return Ok(None);
    };
    let bind = |cause| StartError::Bind { address, cause };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    Ok(Some((
        listener,
        server::metrics_router(Arc::clone(metrics)),
    )))
}

/// All routes of this process.
fn routes(readiness: &Readiness) -> Router {
    let mut router = server::probe_router(readiness.clone());
    if let Some(authz) = &readiness.authz {
        router = router.merge(portcullis_authz::router::routes(authz.clone()));
    }
    if let Some(resource) = &readiness.resource {
        router = router.merge(portcullis_resource::router(resource));
    }
    router
}

/// All in one, the resource server reads its own issuer through its own listener and never through
/// a front that may not be up yet.
fn own_issuer_inside(role: Role, mut config: Config, address: SocketAddr) -> Config {
    if role == Role::Both {
        let own = config.authz.issuer.clone();
        let host = match address.ip() {
            ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
            ip if ip.is_unspecified() => "[::1]".to_owned(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            std::net::IpAddr::V4(ip) => ip.to_string(),
        };
        for server in &mut config.resource.authorization_servers {
            if server.issuer == own && server.internal_url.is_none() {
                server.internal_url = Some(format!("http://{host}:{}", address.port()));
            }
        }
    }
    config
}

/// What runs beside the requests, until the stop.
async fn jobs(readiness: Readiness, redis: Option<SharedRedis>, shutdown: CancellationToken) {
    let authz = async {
        if let Some(authz) = &readiness.authz {
            portcullis_authz::jobs::run(authz.clone(), shutdown.cancelled()).await;
        }
    };
    let keys = async {
        let Some(resource) = &readiness.resource else {
            return;
        };
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        while shutdown.run_until_cancelled(seconds.tick()).await.is_some() {
            resource.keep_warm().await;
        }
    };
    let shared = async {
        let Some(redis) = &redis else { return };
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        while shutdown.run_until_cancelled(seconds.tick()).await.is_some() {
            redis.keep_warm().await;
        }
    };
    tokio::join!(authz, keys, shared);
}
