//! Asking our own server over TLS from the machine on which it runs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::{FetcherError, HttpFetcher};

/// Our own server as it is reached from here.
#[derive(Clone, Copy, Debug)]
pub struct OwnServer<'a> {
    /// The host name under which others reach it.
    pub name: &'a str,
    /// Where it really listens; its port stands in the URL.
    pub address: SocketAddr,
    /// PEM file with its certificate first.
    pub certificate: &'a Path,
}

impl HttpFetcher {
    /// A fetcher that asks our own server: it dials that address under that name, and takes the
    /// certificate of the file for any name. So the question reaches the server also where its
    /// certificate is for a public name and its authority is known to others alone.
    pub fn of_own_server(own: OwnServer<'_>, ca_file: Option<&Path>) -> Result<Self, FetcherError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = |error: Error| FetcherError::Tls(error.to_string());
        let others = match ca_file {
            None => Vec::new(),
            Some(path) => certificates(path)?,
        };
        let others = Verifier::new_with_extra_roots(others, Arc::clone(&provider)).map_err(tls)?;
        let pinned = certificates(own.certificate)?.into_iter().next();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .dangerous() // the name of the method: what is not pinned is verified strictly
            .with_custom_certificate_verifier(Arc::new(Pinned { pinned, others }))
            .with_no_client_auth();
        let builder = Self::builder()
            .tls_backend_preconfigured(config)
            .resolve(own.name, own.address);
        Self::built(builder)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FetcherError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| FetcherError::Certificate {
            path: path.display().to_string(),
            cause: error.to_string(),
        })
}

/// Takes one certificate as it is, and any other that an authority vouches for: a certificate that
/// was renewed a moment ago is in the file and not in use yet.
#[derive(Debug)]
struct Pinned {
    pinned: Option<CertificateDer<'static>>,
    others: Verifier,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pinned.as_ref().is_some_and(|own| own == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.others
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.others.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.others.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.others.supported_verify_schemes()
    }
}
