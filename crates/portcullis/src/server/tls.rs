//! Native HTTPS: the certificate and its key, read at the start and again when the files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use portcullis_common::clock::{SharedClock, Timestamp};
use portcullis_common::config::TlsFiles;
use portcullis_common::secret::SecretHash;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use super::client_authority;
use crate::certificate;

/// The first byte of every TLS connection: a record of the handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;
/// What a peer is told that speaks plain HTTP.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
     Connection: close\r\nContent-Length: 54\r\n\r\n\
     This port speaks HTTPS: write https:// in the address\n";

/// Why certificate and key cannot be used. Each says which file, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(
        "[server] {key} {path} cannot be read: {cause}. Name a PEM file that this user may read."
    )]
    Read {
        /// `tls_cert`, `tls_key` or `tls_client_ca`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// There is no certificate.
    #[error(
        "[server] tls_cert {0} holds no certificate. Write the server's own first and the intermediate ones after it, in PEM."
    )]
    NoCertificate(PathBuf),
    /// There is no key.
    #[error(
        "[server] tls_key {0} holds no private key. Write one in PEM, not encrypted: PKCS #8, PKCS #1 or SEC1."
    )]
    NoKey(PathBuf),
    /// There is no authority of client certificates.
    #[error(
        "[server] tls_client_ca {0} holds no certificate that can be an authority. Write those that issue the certificates of clients, in PEM."
    )]
    NoAuthority(PathBuf),
    /// The key belongs to another certificate.
    #[error(
        "[server] tls_key {key} is not the key of the first certificate in {certificate}. Name the two files that were made together, the server's own certificate first."
    )]
    Mismatch {
        /// The file with the key.
        key: PathBuf,
        /// The file with the certificate.
        certificate: PathBuf,
    },
    /// The TLS library does not take them.
    #[error("[server] tls_cert {certificate} and tls_key {key} cannot be used: {cause}")]
    Unusable {
        /// The file with the key.
        key: PathBuf,
        /// The file with the certificate.
        certificate: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
}

/// What was found in the files at one time.
struct Found {
    key: CertifiedKey,
    /// Of both texts, to know them again.
    hashes: [SecretHash; 2],
    ends: Option<Timestamp>,
}

/// Native HTTPS. Cloning shares everything.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

/// The certificate that handshakes get now.
#[derive(Debug)]
struct Certificate {
    files: TlsFiles,
    clock: SharedClock,
    current: ArcSwap<CertifiedKey>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    hashes: [SecretHash; 2],
    /// What was said of files that cannot be used, so that it is said once.
    complaint: Option<String>,
}

impl Tls {
    /// Reads certificate and key.
    pub(crate) fn open(files: &TlsFiles, clock: SharedClock) -> Result<Self, TlsError> {
        let found = read(files)?;
        warn_of_end(files, found.ends, clock.now());
        let seen = Seen {
            hashes: found.hashes,
            complaint: None,
        };
        let certificate = Arc::new(Certificate {
            files: files.clone(),
            clock,
            current: ArcSwap::from_pointee(found.key),
            seen: Mutex::new(seen),
        });
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // RFC 9325 §3.1.1: TLS 1.2 and 1.3 and nothing older.
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let client_ca = files.client_ca.as_deref();
        let verifier = client_authority::verifier(client_ca, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|cause| unusable(files, cause))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&certificate) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate,
        })
    }

    /// Takes over certificate and key if the files have changed. Files that cannot be used change
    /// nothing: the old certificate stays, and the log says why.
    pub fn reload(&self) {
        let own = &*self.certificate;
        let mut seen = own.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&own.files) {
            Ok(found) if found.hashes == seen.hashes => seen.complaint = None,
            Ok(found) => {
                warn_of_end(&own.files, found.ends, own.clock.now());
                own.current.store(Arc::new(found.key));
                seen.hashes = found.hashes;
                seen.complaint = None;
                tracing::info!("a new certificate is in use");
            }
            Err(error) => {
                let text = error.to_string();
                if seen.complaint.as_ref() != Some(&text) {
                    tracing::error!(%error, "the new certificate cannot be used; the old one stays");
                    seen.complaint = Some(text);
                }
            }
        }
    }

    /// The handshake. A peer that speaks plain HTTP, as its first byte says, is told so.
    pub(super) async fn accept<S>(&self, mut stream: S, first: u8) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if first == HANDSHAKE || !first.is_ascii_uppercase() {
            return self.acceptor.accept(stream).await;
        }
        stream.write_all(PLAIN.as_bytes()).await?;
        stream.shutdown().await?;
        // What is closed with something unread is reset, and the peer may lose the answer.
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        Err(io::Error::other("the peer speaks plain HTTP"))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tls")
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(files: &TlsFiles) -> Result<Found, TlsError> {
    let chain_text = text_of("tls_cert", &files.cert)?;
    let key_text = text_of("tls_key", &files.key)?;
    let no_certificate = || TlsError::NoCertificate(files.cert.clone());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain_text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| no_certificate())?;
    let first = chain.first().ok_or_else(no_certificate)?;
    let ends = certificate::end_of(first);
    let key = PrivateKeyDer::from_pem_slice(key_text.as_bytes())
        .map_err(|_| TlsError::NoKey(files.key.clone()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = CertifiedKey::from_der(chain, key, &provider).map_err(|cause| match cause {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
            key: files.key.clone(),
            certificate: files.cert.clone(),
        },
        cause => unusable(files, cause),
    })?;
    Ok(Found {
        key,
        hashes: [SecretHash::of(&chain_text), SecretHash::of(&key_text)],
        ends,
    })
}

pub(super) fn text_of(key: &'static str, path: &Path) -> Result<Zeroizing<String>, TlsError> {
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|cause| TlsError::Read {
            key,
            path: path.to_owned(),
            cause,
        })
}

fn unusable(files: &TlsFiles, cause: rustls::Error) -> TlsError {
    TlsError::Unusable {
        key: files.key.clone(),
        certificate: files.cert.clone(),
        cause,
    }
}

/// A certificate that has ended is used all the same: no certificate would be worse, and a wrong
/// clock must not stop the server.
fn warn_of_end(files: &TlsFiles, ends: Option<Timestamp>, now: Timestamp) {
    if ends.is_some_and(|ends| ends < now) {
        let path = files.cert.display();
        tracing::warn!(%path, "the certificate has ended: clients will refuse it until it is renewed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_is_a_whole_one() {
        let (head, body) = PLAIN.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}
