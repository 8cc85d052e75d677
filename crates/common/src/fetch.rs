//! Outbound HTTP, handed in.

mod own;

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use own::OwnServer;

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer: refused, reset, timed out, name not found, certificate refused.
    #[error("no answer from {url}: {cause}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why, for the log.
        cause: String,
    },
    /// An answer other than 200. Redirects are not followed.
    #[error("{url} answered with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// A body over the limit.
    #[error("the answer of {url} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit in bytes.
        limit: usize,
    },
}

/// A GET request for a small document.
#[derive(Clone, Copy, Debug)]
pub struct FetchRequest<'a> {
    /// The absolute URL.
    pub url: &'a str,
    /// Longest time for all of it, look-up included.
    pub timeout: Duration,
    /// Largest body in bytes; reading stops there.
    pub limit: usize,
}

/// Fetches documents from addresses that the operator configured.
#[async_trait]
pub trait Fetcher: Send + Sync + Debug {
    /// The body of a 200 answer.
    async fn fetch(&self, request: FetchRequest<'_>) -> Result<Vec<u8>, FetchError>;
}

/// The fetcher as it is passed around.
pub type SharedFetcher = Arc<dyn Fetcher>;

/// The certificate that the other side showed, in DER: an extension of answers over TLS. It was
/// found valid before the request was sent.
#[derive(Clone, Debug)]
pub struct PeerCertificate(Vec<u8>);

impl PeerCertificate {
    /// The certificate.
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

/// Why the fetcher could not be built.
#[derive(Debug, thiserror::Error)]
pub enum FetcherError {
    /// The file with further authorities.
    #[error("[outbound] ca_file {path}: {cause}")]
    CaFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The file with our own certificate.
    #[error("the certificate in {path} cannot be read: {cause}")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The TLS machinery.
    #[error("outbound TLS cannot be set up: {0}")]
    Tls(String),
}

/// Fetches over HTTP/1.1 and HTTP/2, with the system's authorities and the operator's.
///
/// Redirects are not followed and proxies of the environment are not used: what was configured is
/// what is dialled.
#[derive(Clone, Debug)]
pub struct HttpFetcher {
    client: reqwest::Client,
}

impl HttpFetcher {
    /// Builds the fetcher; `ca_file` names a PEM file with authorities to trust beside the system's.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, FetcherError> {
        let mut builder = Self::builder();
        if let Some(path) = ca_file {
            let broken = |cause: String| FetcherError::CaFile {
                path: path.display().to_string(),
                cause,
            };
            let pem = std::fs::read(path).map_err(|error| broken(error.to_string()))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| broken(error.to_string()))?;
            if authorities.is_empty() {
                return Err(broken("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(authorities);
        }
        Self::built(builder)
    }

    fn builder() -> reqwest::ClientBuilder {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where a client is built"
        )]
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_info(true)
            .connect_timeout(Duration::from_secs(3))
            .pool_idle_timeout(Duration::from_secs(30))
    }

    fn built(builder: reqwest::ClientBuilder) -> Result<Self, FetcherError> {
        let client = builder.build();
        let client = client.map_err(|error| FetcherError::Tls(error.to_string()))?;
        Ok(Self { client })
    }

    /// Sends any request and gives whatever answer comes, with at most `limit` bytes of body.
    /// `timeout` is for all of it.
    pub async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
        limit: usize,
    ) -> Result<http::Response<Vec<u8>>, FetchError> {
        let url = request.uri().to_string();
        let unreachable = |cause: String| FetchError::Unreachable {
            url: url.clone(),
            cause,
        };
        let sent = async {
            let request =
                reqwest::Request::try_from(request).map_err(|error| unreachable(chain(&error)))?;
            let mut response = self
                .client
                .execute(request)
                .await
                .map_err(|error| unreachable(chain(&error)))?;
            let mut answer = http::Response::new(Vec::new());
            *answer.status_mut() = response.status();
            *answer.headers_mut() = response.headers().clone();
            let tls = response.extensions().get::<reqwest::tls::TlsInfo>();
            if let Some(der) = tls.and_then(|tls| tls.peer_certificate()) {
                answer
                    .extensions_mut()
                    .insert(PeerCertificate(der.to_vec()));
            }
            *answer.body_mut() = collect(&mut response, &url, limit).await?;
            Ok(answer)
        };
        tokio::time::timeout(timeout, sent)
            .await
            .unwrap_or_else(|_| Err(unreachable(too_slow(timeout))))
    }

    async fn read(&self, request: FetchRequest<'_>) -> Result<Vec<u8>, FetchError> {
        let url = || request.url.to_owned();
        let unreachable = |error: reqwest::Error| FetchError::Unreachable {
            url: url(),
            cause: chain(&error),
        };
        let mut response = self
            .client
            .get(request.url)
            .send()
            .await
            .map_err(unreachable)?;
        if response.status() != http::StatusCode::OK {
            return Err(FetchError::Status {
                url: url(),
                status: response.status().as_u16(),
            });
        }
        collect(&mut response, request.url, request.limit).await
    }
}

#[async_trait]
impl Fetcher for HttpFetcher {
    async fn fetch(&self, request: FetchRequest<'_>) -> Result<Vec<u8>, FetchError> {
        tokio::time::timeout(request.timeout, self.read(request))
            .await
            .unwrap_or_else(|_| {
                let cause = too_slow(request.timeout);
                Err(FetchError::Unreachable {
                    url: request.url.to_owned(),
                    cause,
                })
            })
    }
}

/// The body, up to the limit.
async fn collect(
    response: &mut reqwest::Response,
    url: &str,
    limit: usize,
) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    let unreachable = |error: reqwest::Error| FetchError::Unreachable {
        url: url.to_owned(),
        cause: chain(&error),
    };
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge {
                url: url.to_owned(),
                limit,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn too_slow(timeout: Duration) -> String {
    format!("nothing within {} s", timeout.as_secs_f32())
}

/// An error with its causes, the outermost first.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
