//! The collector that takes the spans, over OTLP/HTTP.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, StatusCode};

use super::encoding;
use crate::config::OtlpConfig;
use crate::fetch::HttpFetcher;

/// Longest time of one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Longest pause that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where spans go.
#[derive(Clone, Debug)]
pub struct Collector {
    url: String,
    config: OtlpConfig,
    fetcher: HttpFetcher,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Delivery {
    /// It was taken, all but this number of spans.
    Taken { rejected: u64 },
    /// It was refused, and would be refused again.
    Refused(String),
    /// It can be tried again, not before this time where the collector says so.
    Away(String, Option<Duration>),
}

impl Collector {
    /// The collector of this configuration.
    pub fn new(config: OtlpConfig, fetcher: HttpFetcher) -> Self {
        let url = format!("{}/v1/traces", config.endpoint);
        Self {
            url,
            config,
            fetcher,
        }
    }

    pub(super) const fn ratio(&self) -> f64 {
        self.config.sample_ratio
    }

    /// Sends a body of [`encoding::request`].
    pub(super) async fn send(&self, body: Vec<u8>) -> Delivery {
        let mut request = Request::post(&self.url);
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.config.headers.iter().cloned());
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = match request.body(body) {
            Ok(request) => request,
            Err(error) => return Delivery::Refused(error.to_string()),
        };
        let answer = match self.fetcher.send(request, TIMEOUT, MAX_ANSWER).await {
            Ok(answer) => answer,
            Err(error) => return Delivery::Away(error.to_string(), None),
        };
        let status = answer.status();
        if status.is_success() {
            let rejected = encoding::rejected(answer.body());
            return Delivery::Taken { rejected };
        }
        let cause = format!("{} answered with status {}", self.url, status.as_u16());
        // OTLP/HTTP, failures: these and no others may be tried again.
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let pause = answer.headers().get(RETRY_AFTER);
                let seconds = pause.and_then(|value| value.to_str().ok()?.parse().ok());
                let pause = seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
                Delivery::Away(cause, pause)
            }
            _ => Delivery::Refused(cause),
        }
    }
}
