//! `portcullis health`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use portcullis_common::config::{Config, Role};
use portcullis_common::fetch::{FetchRequest, Fetcher as _, FetcherError, HttpFetcher, OwnServer};
use serde_json::json;
use url::Url;

use super::{Context, Failure, Sentence};
use crate::cli::Health;

/// The answer is a word; anything larger is not our server.
const MAX_ANSWER: usize = 4096;

pub(super) async fn run(context: Context<'_>, options: Health) -> Result<(), Failure> {
    let config = context.config(Role::Both)?;
    let (base, fetcher) = match options.url {
        Some(url) => (url, HttpFetcher::new(config.outbound.ca_file.as_deref())?),
        None => own_server(&config)?,
    };
    let url = format!("{}/readyz", base.trim_end_matches('/'));
    let request = FetchRequest {
        url: &url,
        timeout: Duration::from_secs(3),
        limit: MAX_ANSWER,
    };
    let answer = fetcher.fetch(request).await;
    if options.json {
        context
            .output
            .json(&json!({ "ready": answer.is_ok(), "url": url }));
    } else if answer.is_ok() {
        context.output.line("ready");
    }
    answer
        .map(|_| ())
        .map_err(|error| Sentence::failure(format!("not ready: {error}")))
}

/// Our own server at the configured address, and what asks it; an address that stands for all
/// addresses is asked on loopback.
fn own_server(config: &Config) -> Result<(String, HttpFetcher), FetcherError> {
    let ca_file = config.outbound.ca_file.as_deref();
    let listen = config.server.listen;
    let (host, ip) = match listen.ip() {
        ip if ip.is_unspecified() && ip.is_ipv6() => {
            ("[::1]".to_owned(), Ipv6Addr::LOCALHOST.into())
        }
        ip if ip.is_unspecified() => ("localhost".to_owned(), Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) => (format!("[{ip}]"), ip.into()),
        IpAddr::V4(ip) => (ip.to_string(), ip.into()),
    };
    let port = listen.port();
    let Some(files) = &config.server.tls else {
        return Ok((format!("http://{host}:{port}"), HttpFetcher::new(ca_file)?));
    };
    // A certificate is for the name that others use.
    let public = Url::parse(&config.server.public_url).ok();
    let name = public.as_ref().and_then(Url::domain).unwrap_or(&host);
    let own = OwnServer {
        name,
        address: SocketAddr::new(ip, port),
        certificate: &files.cert,
    };
    let fetcher = HttpFetcher::of_own_server(own, ca_file)?;
    Ok((format!("https://{name}:{port}"), fetcher))
}
