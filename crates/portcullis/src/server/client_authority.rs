//! Certificates of clients at our own listener (RFC 8705 §2.1): who may issue them, and whose one is.

use std::path::Path;
use std::sync::Arc;

use portcullis_common::client_certificate::VerifiedClientCertificate;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConnection};

use super::tls::{TlsError, text_of};
use crate::certificate;

/// What checks the certificates of clients. Without authorities nobody is asked for one; with them
/// a client may still come without, and one that comes with a wrong one gets no connection.
pub(super) fn verifier(
    authorities: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(path) = authorities else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let text = text_of("tls_client_ca", path)?;
    let none = || TlsError::NoAuthority(path.to_owned());
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let authority = authority.map_err(|_| none())?;
        roots.add(authority).map_err(|_| none())?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .allow_unauthenticated()
            .build()
            .map_err(|_| none())?;
    Ok(verifier)
}

/// The client whose certificate the handshake of this session verified.
pub(super) fn shown_in(session: &ServerConnection) -> Option<VerifiedClientCertificate> {
    let own = session.peer_certificates()?.first()?;
    match certificate::subject_of(own) {
        Some(subject) => Some(VerifiedClientCertificate::of_handshake(subject)),
        None => {
            tracing::warn!("the subject of a client certificate is empty or not text");
            None
        }
    }
}
