//! `[server]`: the listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::raw::Raw;
use super::sections::{ServerConfig, TlsFiles};
use super::values;

/// Reads the section; without an address this one is bound.
pub(super) fn load(raw: &mut Raw<'_>, listen: SocketAddr) -> ServerConfig {
    let seconds = Duration::from_secs;
    let listen = raw
        .optional("server", "listen", values::address)
        .unwrap_or(listen);
    let tls = tls(raw);
    ServerConfig {
        public_url: public_url(raw, listen, tls.is_some()),
        listen,
        trusted_proxies: raw.value("server", "trusted_proxies", Vec::new(), values::networks),
        tls,
        shutdown_grace: raw.value("server", "shutdown_grace", seconds(30), values::duration),
        header_timeout: raw.value("server", "header_timeout", seconds(10), values::duration),
        body_timeout: raw.value("server", "body_timeout", seconds(30), values::duration),
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
