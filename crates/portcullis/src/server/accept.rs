//! Accepting connections, and ending them in order.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::{BoxError, Router};
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_common::client_certificate::VerifiedClientCertificate;
use portcullis_common::config::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::client_authority;
use super::deadline::DeadlineBody;
use super::reader::ReadingPeer;
use super::tls::Tls;

/// Largest request head, in bytes; longer ones are answered with 431.
const MAX_HEAD: usize = 64 * 1024;
/// How long to wait after an error of the listener itself, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a stop leaves the idle connections of a proxy open.
const IDLE_GRACE: Duration = Duration::from_secs(2);
/// More connections than wait in the queue of a listener.
const QUEUED: usize = 4096;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time for a request head; an idle connection ends after it too.
    pub header_timeout: Duration,
    /// Time for a request body, and for which a peer may take nothing of an answer.
    pub body_timeout: Duration,
    /// How long a stop waits for requests under way.
    pub shutdown_grace: Duration,
    /// How long a stop leaves idle connections open, so that whoever keeps them notices the stop
    /// from an answer and never from a reset: a proxy cannot know whether a request that met a
    /// reset has run, and must not send a POST twice (RFC 9110 §9.2.2). Zero where no proxy is
    /// configured. It is part of `shutdown_grace`.
    pub idle_grace: Duration,
}

impl From<&ServerConfig> for Limits {
    fn from(config: &ServerConfig) -> Self {
        let has_proxy = !config.trusted_proxies.is_empty();
        let idle_grace = if has_proxy {
            IDLE_GRACE
        } else {
            Duration::ZERO
        };
        Self {
            idle_grace: idle_grace.min(config.shutdown_grace),
            header_timeout: config.header_timeout,
            body_timeout: config.body_timeout,
            shutdown_grace: config.shutdown_grace,
        }
    }
}

/// The address of the peer, as the socket says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

/// Serves until `shutdown`; then accepts nothing new, lets requests under way finish and returns
/// when all connections have ended, after `shutdown_grace` at the latest.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let exchange = Exchange {
        router,
        limits,
        shutdown: shutdown.clone(),
    };
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(connection(stream, peer, tls.clone(), exchange.clone()));
            }
            // The listener goes on: the next connection may find room again.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    for (stream, peer) in queued(listener) {
        connections.spawn(connection(stream, peer, tls.clone(), exchange.clone()));
    }
    connections.close();
    if tokio::time::timeout(limits.shutdown_grace, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            left = connections.len(),
            "connections were cut at the end of the grace"
        );
    }
}

/// Closes the listener and answers the connections that wait in its queue: the kernel has accepted
/// them in our name, and closing alone would reset them.
fn queued(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    // The runtime knows of a connection only after its next look; the socket itself knows now.
    let accept = |listener: &std::net::TcpListener| {
        let (stream, peer) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    };
    match listener.into_std() {
        Ok(listener) => std::iter::from_fn(|| accept(&listener))
            .take(QUEUED)
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "the queue of the listener could not be read");
            Vec::new()
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<Tls>, exchange: Exchange) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let ended = match tls {
        None => {
            let stream = ReadingPeer::new(stream, exchange.limits.body_timeout);
            exchange.run(stream, peer, None).await
        }
        Some(tls) => match exchange.shake_hands(&tls, stream).await {
            Ok(stream) => {
                let certificate = client_authority::shown_in(stream.get_ref().1);
                exchange.run(stream, peer, certificate).await
            }
            Err(error) => Err(error.into()),
        },
    };
    if let Err(error) = ended {
        tracing::debug!(error, %peer, "a connection ended early");
    }
}

/// What happens on a connection.
#[derive(Clone)]
struct Exchange {
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
}

impl Exchange {
    /// The handshake, which takes no longer than a request head may; a stop ends it.
    async fn shake_hands(
        &self,
        tls: &Tls,
        stream: TcpStream,
    ) -> io::Result<TlsStream<ReadingPeer<TcpStream>>> {
        let handshake = async {
            let mut first = [0];
            stream.peek(&mut first).await?;
            let [first] = first;
            let stream = ReadingPeer::new(stream, self.limits.body_timeout);
            tls.accept(stream, first).await
        };
        tokio::select! {
            () = self.shutdown.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
            ended = tokio::time::timeout(self.limits.header_timeout, handshake) => ended?,
        }
    }

    /// Answers requests until the peer goes or the server stops.
    async fn run<S>(
        self,
        stream: S,
        peer: SocketAddr,
        certificate: Option<VerifiedClientCertificate>,
    ) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router,
            limits,
            shutdown,
        } = self;
        let stopping = Arc::new(AtomicBool::new(false));
        let says_so = Arc::clone(&stopping);
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request =
                request.map(|body| Body::new(DeadlineBody::new(body, limits.body_timeout)));
            request.extensions_mut().insert(PeerAddress(peer));
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            let (router, stopping) = (router.clone(), Arc::clone(&says_so));
            async move {
                let mut answer = router.oneshot(request).await?;
                if stopping.load(Ordering::Relaxed) {
                    // RFC 9112 §9.6: this answer is the last one.
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(MAX_HEAD);
        let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = serving.as_mut() => ended?,
            () = shutdown.cancelled() => {
                stopping.store(true, Ordering::Relaxed);
                match tokio::time::timeout(limits.idle_grace, serving.as_mut()).await {
                    Ok(ended) => ended?,
                    Err(_) => {
                        serving.as_mut().graceful_shutdown();
                        serving.await?;
                    }
                }
            }
        }
        Ok(())
    }
}
