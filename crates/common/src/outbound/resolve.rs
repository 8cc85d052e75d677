//! Looking names up, handed in.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// Gives the addresses of a name.
#[async_trait]
pub trait Resolver: Send + Sync + Debug {
    /// All addresses of this name; an error if there is none.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// Asks the resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Asks one DNS server and nobody else: no hosts file, no search list, no cache of its own.
#[derive(Clone, Debug)]
pub struct ServerResolver(TokioResolver);

impl ServerResolver {
    /// Asks this server, over UDP and where answers are long over TCP.
    pub fn new(server: SocketAddr) -> io::Result<Self> {
        let port = |mut connection: ConnectionConfig| {
            connection.port = server.port();
            connection
        };
        let connections = vec![port(ConnectionConfig::udp()), port(ConnectionConfig::tcp())];
        let server = NameServerConfig::new(server.ip(), true, connections);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        options.attempts = 1;
        builder.build().map(Self).map_err(io::Error::other)
    }
}

#[async_trait]
impl Resolver for ServerResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The final dot keeps search lists away.
        let found = self
            .0
            .lookup_ip(format!("{}.", name.trim_end_matches('.')))
            .await;
        Ok(found.map_err(io::Error::other)?.iter().collect())
    }
}
