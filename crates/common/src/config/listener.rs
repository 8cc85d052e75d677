//! `[server]`: the listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::raw::Raw;
use super::sections::{Authentication, ClientConfig, ServerConfig, TlsFiles};
use super::values;
use crate::client_certificate::CertificateHeaders;

/// Reads the section; without an address this one is bound.
pub(super) fn load(raw: &mut Raw<'_>, listen: SocketAddr) -> ServerConfig {
    let seconds = Duration::from_secs;
    let listen = raw
        .optional("server", "listen", values::address)
        .unwrap_or(listen);
    let tls = tls(raw);
    let trusted_proxies = raw.value("server", "trusted_proxies", Vec::new(), values::networks);
    ServerConfig {
        public_url: public_url(raw, listen, tls.is_some()),
        listen,
        client_certificate_headers: client_certificate_headers(raw, &trusted_proxies),
        trusted_proxies,
        tls,
        shutdown_grace: raw.value("server", "shutdown_grace", seconds(30), values::duration),
        header_timeout: raw.value("server", "header_timeout", seconds(10), values::duration),
        body_timeout: raw.value("server", "body_timeout", seconds(30), values::duration),
    }
}

/// The headers of a front, whose word must be one that not everybody can speak.
fn client_certificate_headers(raw: &mut Raw<'_>, trusted: &[IpNet]) -> Option<CertificateHeaders> {
    const KEY: &str = "client_certificate_headers";
    let headers = raw.optional("server", KEY, values::certificate_headers)?;
    if trusted.is_empty() {
        let text = "they count from nobody yet; name the front in [server] trusted_proxies";
        raw.problem(raw.place("server", KEY), text);
    }
    if trusted.iter().any(|net| net.prefix_len() == 0) {
        let text = "with certificates of clients it cannot be every address, which would let anybody \
                    be any client; name the fronts alone";
        raw.problem(raw.place("server", "trusted_proxies"), text);
    }
    Some(headers)
}

/// Refuses clients whose certificate nobody would look at.
pub(super) fn check_clients(raw: &mut Raw<'_>, server: &ServerConfig, clients: &[ClientConfig]) {
    let shows_one =
        |client: &&ClientConfig| matches!(client.authentication, Authentication::Certificate(_));
    if let Some(client) = clients.iter().find(shows_one)
        && !server.learns_of_client_certificates()
    {
        let text = format!(
            "nobody looks at the certificate of {}: set [server] tls_client_ca where this server \
             speaks HTTPS, or client_certificate_headers where a front does",
            client.id
        );
        raw.problem("[[authz.clients]] auth_method", text);
    }
}

/// Certificate and key, both or none, and with them the authorities of clients.
fn tls(raw: &mut Raw<'_>) -> Option<TlsFiles> {
    let mut path = |name| {
        raw.optional("server", name, values::text)
            .map(PathBuf::from)
    };
    let client_ca = path("tls_client_ca");
    match (path("tls_cert"), path("tls_key")) {
        (Some(cert), Some(key)) => Some(TlsFiles {
            cert,
            key,
            client_ca,
        }),
        (None, None) => {
            if client_ca.is_some() {
                let text = "client certificates are asked for in HTTPS; set [server] tls_cert and \
                            tls_key, or let the front that speaks HTTPS ask for them";
                raw.problem(raw.place("server", "tls_client_ca"), text);
            }
            None
        }
        (cert, _) => {
            let missing = if cert.is_some() {
                "tls_key"
            } else {
                "tls_cert"
            };
            let text = "HTTPS needs both files, [server] tls_cert and tls_key";
            raw.problem(raw.place("server", missing), text);
            None
        }
    }
}

/// Where native HTTPS is spoken, nothing is reached over plain HTTP.
fn public_url(raw: &mut Raw<'_>, listen: SocketAddr, is_https: bool) -> String {
    let scheme = if is_https { "https" } else { "http" };
    let Some(url) = raw.optional("server", "public_url", values::public_url) else {
        return format!("{scheme}://localhost:{}", listen.port());
    };
    if is_https && !url.starts_with("https://") {
        let text = "with [server] tls_cert this server speaks HTTPS only: begin it with https://";
        raw.problem(raw.place("server", "public_url"), text);
    }
    url
}
