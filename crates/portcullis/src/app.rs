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
use portcullis_common::trace::{self, Collector, Exporter, ExporterParts, Tracer};
use portcullis_resource::{ResourceParts, ResourceState};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::server::{self, Front, Limits, OwnListener, Readiness, Tls, TlsError};

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
    /// How spans reach a collector; `None` where nothing may be sent.
    pub collector: Option<HttpFetcher>,
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
            collector: Some(fetcher.clone()),
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
    /// Native HTTPS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The registry of tools.
    #[error(transparent)]
    Resource(#[from] portcullis_resource::mcp::RegistryError),
}

/// A server that is bound and wired but does not answer yet.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    readiness: Readiness,
    metrics: Option<(TcpListener, Router)>,
    redis: Option<SharedRedis>,
    exporter: Option<Exporter>,
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
        let tls = match &config.server.tls {
            Some(files) => Some(Tls::open(files, Arc::clone(&ambient.clock))?),
            None => None,
        };
        let shutdown = CancellationToken::new();
        let own = own_base(&config, address);
        let config = Arc::new(own_issuer_inside(role, config, &own));
        let (tracer, exporter) = spans(role, &config, &ambient);
        let authz = open_authz(role, &config, &ambient).await?;
        let fetcher = match &authz {
            Some(authz) => Arc::new(OwnListener {
                base: own,
                routes: portcullis_authz::router::routes(authz.clone()),
                others: ambient.fetcher,
            }),
            None => ambient.fetcher,
        };
        let readiness = Readiness {
            authz,
            resource: match role {
                Role::Both | Role::Resource => {
                    let parts = ResourceParts {
                        clock: ambient.clock,
                        fetcher,
                        metrics: Arc::clone(&ambient.metrics),
                        redis: ambient.redis.clone(),
                        tracer: tracer.clone(),
                        audit: ambient.audit.clone(),
                    };
                    Some(ResourceState::new(&config, parts)?)
                }
                Role::Authz => None,
            },
            shutdown: shutdown.clone(),
        };
        let metrics = bind_metrics(&config, &ambient.metrics, &readiness).await?;
        let front = Front::new(&config.server, &*ambient.entropy, ambient.metrics, tracer);
        let router = server::layer(routes(&readiness), front);
        let limits = Limits::from(&config.server);
        Ok(Self {
            listener,
            address,
            tls,
            router,
            limits,
            readiness,
            metrics,
            redis: ambient.redis,
            exporter,
            audit: ambient.audit,
            shutdown,
        })
    }

    /// The address it is bound to; the port is the real one also where 0 was configured.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Native HTTPS, where it is spoken; for whoever is told that the certificate is a new one.
    pub const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The authorization server, where it runs here.
    pub const fn authz(&self) -> Option<&AppState> {
        self.readiness.authz.as_ref()
    }

    /// The resource server, where it runs here.
    pub const fn resource(&self) -> Option<&ResourceState> {
        self.readiness.resource.as_ref()
    }

    /// What it shares with other replicas, where one is configured.
    pub const fn redis(&self) -> Option<&SharedRedis> {
        self.redis.as_ref()
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
        let (readiness, tls) = (self.readiness.clone(), self.tls.clone());
        let last_requests = CancellationToken::new();
        let jobs = tokio::spawn(jobs(readiness, self.redis, tls, last_requests.clone()));
        let serving = server::serve(
            self.listener,
            self.tls,
            self.router,
            self.limits,
            self.shutdown.clone(),
        );
        let resource = self.readiness.resource.clone();
        let stopping = async {
            stop.await;
            tracing::info!("stopping: no new connections, requests under way finish");
            self.shutdown.cancel();
            // Requests may still come on idle connections: they must find what the others found.
            tokio::time::sleep(self.limits.idle_grace).await;
            last_requests.cancel();
            if let Some(resource) = resource {
                // Whatever has not ended by then is cut by the listener.
                let grace = self.limits.shutdown_grace;
                let _ended = tokio::time::timeout(grace, resource.drain()).await;
            }
        };
        let metrics = async {
            if let Some((listener, router)) = self.metrics {
                server::serve(listener, None, router, self.limits, self.shutdown.clone()).await;
            }
        };
        let served = CancellationToken::new();
        let exporting = self.exporter.map(|exporter| {
            let served = served.clone().cancelled_owned();
            tokio::spawn(exporter.run(served))
        });
        tokio::join!(serving, metrics, stopping);
        // The last requests have their spans too.
        served.cancel();
        if let Some(exporting) = exporting {
            let _ended = exporting.await;
        }
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

/// The authorization server, where it runs here.
async fn open_authz(
    role: Role,
    config: &Arc<Config>,
    ambient: &Ambient,
) -> Result<Option<AppState>, StartError> {
    if role == Role::Resource {
        return Ok(None);
    }
    let (clock, entropy) = (Arc::clone(&ambient.clock), Arc::clone(&ambient.entropy));
    let (guarded, redis) = (ambient.guarded.clone(), ambient.redis.clone());
    let (config, audit) = (Arc::clone(config), ambient.audit.clone());
    let state = AppState::open(config, clock, entropy, guarded, redis, audit);
    Ok(Some(Box::pin(state).await?))
}

/// What begins spans, and the job that sends them; nothing where no collector is configured.
fn spans(role: Role, config: &Config, ambient: &Ambient) -> (Tracer, Option<Exporter>) {
    let (Some(otlp), Some(fetcher)) = (&config.otlp, &ambient.collector) else {
        return (Tracer::default(), None);
    };
    let (tracer, exporter) = trace::start(ExporterParts {
        service: match role {
            Role::Both => "portcullis",
            Role::Authz => "portcullis-authz",
            Role::Resource => "portcullis-resource",
        },
        collector: Collector::new(otlp.clone(), fetcher.clone()),
        clock: Arc::clone(&ambient.clock),
        entropy: Arc::clone(&ambient.entropy),
        metrics: Arc::clone(&ambient.metrics),
    });
    (tracer, Some(exporter))
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
    readiness: &Readiness,
) -> Result<Option<(TcpListener, Router)>, StartError> {
    let Some(address) = config.metrics_listen else {
        return Ok(None);
    };
    let bind = |cause| StartError::Bind { address, cause };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let router = server::metrics_router(Arc::clone(metrics), readiness.clone());
    Ok(Some((listener, router)))
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

/// Our own listener as it is reached from this machine: an origin, without a port that the scheme
/// implies.
fn own_base(config: &Config, address: SocketAddr) -> String {
    let scheme = match config.server.tls {
        Some(_) => "https",
        None => "http",
    };
    let host = match address.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
        ip if ip.is_unspecified() => "[::1]".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        std::net::IpAddr::V4(ip) => ip.to_string(),
    };
    let text = format!("{scheme}://{host}:{}", address.port());
    Url::parse(&text).map_or(text, |url| url.origin().ascii_serialization())
}

/// All in one, the resource server reads its own issuer at our own listener and never through a
/// front that may not be up yet.
fn own_issuer_inside(role: Role, mut config: Config, own: &str) -> Config {
    if role == Role::Both {
        let issuer = config.authz.issuer.clone();
        for server in &mut config.resource.authorization_servers {
            if server.issuer == issuer && server.internal_url.is_none() {
                server.internal_url = Some(own.to_owned());
            }
        }
    }
    config
}

/// What runs beside the requests, until the last ones.
async fn jobs(
    readiness: Readiness,
    redis: Option<SharedRedis>,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) {
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
    let certificate = async {
        let Some(tls) = tls else { return };
        let mut minutes = tokio::time::interval(Duration::from_mins(1));
        while shutdown.run_until_cancelled(minutes.tick()).await.is_some() {
            tls.reload();
        }
    };
    tokio::join!(authz, keys, shared, certificate);
}
