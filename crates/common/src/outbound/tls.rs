//! TLS of connections that we open ourselves.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

/// TLS 1.2 and 1.3, the certificate checked for the name that was dialled, against the system's
/// authorities and those of `ca_file`, a PEM file.
pub(crate) fn tls(ca_file: Option<&Path>) -> io::Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let extra: Vec<CertificateDer<'static>> = match ca_file {
        None => Vec::new(),
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(io::Error::other)?,
    };
    let verifier =
        Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).map_err(io::Error::other)?;
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous() // the name of the method; the platform's verifier is a strict one
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}
