//! `portcullis health`

use std::net::IpAddr;
use std::time::Duration;

use portcullis_common::config::{Config, Role};
use portcullis_common::fetch::{FetchRequest, Fetcher as _, HttpFetcher};
use serde_json::json;

use super::{Context, Failure, Sentence};
use crate::cli::Health;

/// The answer is a word; anything larger is not our server.
const MAX_ANSWER: usize = 4096;

pub(super) async fn run(context: Context<'_>, options: Health) -> Result<(), Failure> {
    let config = context.config(Role::Both)?;
    let base = options.url.unwrap_or_else(|| own_address(&config));
    let url = format!("{}/readyz", base.trim_end_matches('/'));
    let fetcher = HttpFetcher::new(config.outbound.ca_file.as_deref())?;
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

/// The configured address; one that stands for all addresses is asked on loopback.
fn own_address(config: &Config) -> String {
    let listen = config.server.listen;
    match listen.ip() {
        ip if ip.is_unspecified() => format!("http://localhost:{}", listen.port()),
        IpAddr::V6(ip) => format!("http://[{ip}]:{}", listen.port()),
        IpAddr::V4(ip) => format!("http://{ip}:{}", listen.port()),
    }
}
