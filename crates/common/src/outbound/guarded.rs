//! One guarded request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Body as _;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{AddressGuard, Dialler, Resolver, ServerResolver, SystemResolver, TcpDialler};
use crate::config::Config;
use crate::issuer::is_loopback_host;

/// Most addresses of one name that are dialled: no answer of a DNS server makes us knock at a
/// hundred doors.
const MAX_DIALLED: usize = 4;
/// Largest head of an answer, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Why nothing was fetched. The text is for the log; strangers learn none of it.
#[derive(Debug, thiserror::Error)]
pub enum GuardedFetchError {
    /// The URL is not https, or has no host.
    #[error("only https URLs with a host are fetched")]
    Url,
    /// The name has no address.
    #[error("{0} cannot be looked up: {1}")]
    Resolve(String, io::Error),
    /// An address of the answer is not one that may be dialled.
    #[error("{host} is at {address}, which must not be dialled")]
    Refused {
        /// The name or address in the URL.
        host: String,
        /// The first address that did not pass.
        address: IpAddr,
    },
    /// The connection, the handshake or the exchange failed.
    #[error("no answer from {0}: {1}")]
    Broken(String, String),
    /// It took longer than the limit, look-up included.
    #[error("no whole answer within the time")]
    TooSlow,
    /// The body is larger than the limit.
    #[error("the answer is larger than the limit")]
    TooLarge,
}

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub struct GuardedLimits {
    /// Longest time for all of it, look-up included.
    pub timeout: Duration,
    /// Largest body in bytes; reading stops there.
    pub body: usize,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct GuardedResponse {
    /// The status; redirects are not followed.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// What the fetcher is built from.
#[derive(Debug)]
pub struct GuardedParts {
    /// Which addresses may be dialled.
    pub guard: AddressGuard,
    /// How names are looked up.
    pub resolver: Box<dyn Resolver>,
    /// How connections are opened.
    pub dialler: Box<dyn Dialler>,
}

impl GuardedParts {
    /// What the configuration asks for: its DNS server instead of the system's resolver, its open
    /// networks, and loopback only where our own public URL is on loopback.
    pub fn of(config: &Config) -> io::Result<Self> {
        let outbound = &config.outbound;
        let is_own = Url::parse(&config.server.public_url).is_ok_and(|url| is_loopback_host(&url));
        Ok(Self {
            guard: AddressGuard::new(outbound.allow.clone(), is_own),
            resolver: match outbound.dns_server {
                Some(server) => Box::new(ServerResolver::new(server)?),
                None => Box::new(SystemResolver),
            },
            dialler: Box::new(TcpDialler),
        })
    }
}

/// Fetches https documents from hosts that strangers name.
#[derive(Clone, Debug)]
pub struct GuardedFetcher {
    parts: Arc<GuardedParts>,
    tls: Arc<rustls::ClientConfig>,
}

impl GuardedFetcher {
    /// Builds the fetcher; `ca_file` names a PEM file with authorities to trust beside the system's.
    pub fn new(parts: GuardedParts, ca_file: Option<&Path>) -> io::Result<Self> {
        let mut tls = super::tls(ca_file)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            parts: Arc::new(parts),
            tls: Arc::new(tls),
        })
    }

    /// Sends one GET request.
    pub async fn get(
        &self,
        url: &Url,
        limits: GuardedLimits,
    ) -> Result<GuardedResponse, GuardedFetchError> {
        tokio::time::timeout(limits.timeout, self.exchange(url, limits.body))
            .await
            .unwrap_or(Err(GuardedFetchError::TooSlow))
    }

    async fn exchange(
        &self,
        url: &Url,
        limit: usize,
    ) -> Result<GuardedResponse, GuardedFetchError> {
        let host = match url.host() {
            Some(host) if url.scheme() == "https" => host.to_owned(),
            _ => return Err(GuardedFetchError::Url),
        };
        let port = url.port_or_known_default().ok_or(GuardedFetchError::Url)?;
        let addresses = self.checked_addresses(&host).await?;
        let broken = |cause: String| GuardedFetchError::Broken(host.to_string(), cause);
        let stream = self
            .connect(&addresses, port)
            .await
            .map_err(|e| broken(e.to_string()))?;
        let name = match &host {
            Host::Domain(name) => {
                ServerName::try_from(name.clone()).map_err(|e| broken(e.to_string()))?
            }
            Host::Ipv4(ip) => ServerName::from(IpAddr::V4(*ip)),
            Host::Ipv6(ip) => ServerName::from(IpAddr::V6(*ip)),
        };
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|error| broken(error.to_string()))?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(error.to_string()))?;
        let request = request(url).map_err(|error| broken(error.to_string()))?;
        // The connection is driven here and dropped with this future: nothing goes on behind us.
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|e| broken(e.to_string()))?;
            let (head, mut body) = response.into_parts();
            let mut collected = Vec::new();
            // Who announces too much is not listened to.
            if body.size_hint().lower() > limit as u64 {
                return Err(GuardedFetchError::TooLarge);
            }
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| broken(error.to_string()))?;
                let Some(data) = frame.data_ref() else {
                    continue;
                };
                if collected.len() + data.len() > limit {
                    return Err(GuardedFetchError::TooLarge);
                }
                collected.extend_from_slice(data);
            }
            Ok(GuardedResponse {
                status: head.status,
                headers: head.headers,
                body: collected,
            })
        };
        let mut connection = std::pin::pin!(connection);
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answer = answer.as_mut() => answer,
            ended = connection.as_mut() => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(broken(error.to_string())),
            },
        }
    }

    /// The addresses of a host. One that must not be dialled spoils the whole answer: a name that
    /// points both outside and inside is an attack, not a mistake.
    async fn checked_addresses(
        &self,
        host: &Host<String>,
    ) -> Result<Vec<IpAddr>, GuardedFetchError> {
        let addresses = match host {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => self
                .parts
                .resolver
                .resolve(name)
                .await
                .map_err(|error| GuardedFetchError::Resolve(name.clone(), error))?,
        };
        match addresses
            .iter()
            .find(|address| !self.parts.guard.permits(**address))
        {
            Some(address) => Err(GuardedFetchError::Refused {
                host: host.to_string(),
                address: *address,
            }),
            None => Ok(addresses),
        }
    }

    /// Dials the checked addresses in turn; nothing is looked up again.
    async fn connect(&self, addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses.iter().take(MAX_DIALLED) {
            match self
                .parts
                .dialler
                .dial(SocketAddr::new(*address, port))
                .await
            {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, http::Error> {
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = url.host_str().unwrap_or_default();
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    Request::get(target)
        .header(HOST, authority)
        .header(ACCEPT, "application/json")
        // A compressed body could be small on the wire and endless when unpacked.
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        .header(
            USER_AGENT,
            concat!("portcullis/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
}

#[cfg(test)]
mod tests;
