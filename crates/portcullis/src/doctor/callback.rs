//! The loopback address to which the browser comes back (RFC 8252 §7.3).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use http::{StatusCode, Uri, header};
use portcullis_common::issuer::is_loopback_host;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::{Host, Url, form_urlencoded};

/// What stands in the query of an answer.
type Parameters = Vec<(String, String)>;

/// What the person sees at the end.
const PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width\"><title>portcullis doctor</title>\
    <p>The answer has come. You can close this window.</p>";

/// A listener, and the redirect URI that leads to it.
pub(super) struct Callback {
    listener: TcpListener,
    redirect_uri: Url,
}

impl Callback {
    /// Listens at this redirect URI; at a free port where it names none, or one that is taken.
    pub(super) async fn open(redirect_uri: &str) -> Result<Self, String> {
        let url = Url::parse(redirect_uri).ok();
        let is_ours = |url: &Url| url.scheme() == "http" && is_loopback_host(url);
        let Some(mut url) = url.filter(is_ours) else {
            return Err(format!("{redirect_uri} is not http on a loopback host"));
        };
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::from(address),
            Some(Host::Ipv6(address)) => IpAddr::from(address),
            Some(Host::Domain(_)) | None => IpAddr::from(Ipv4Addr::LOCALHOST),
        };
        let wanted = TcpListener::bind((address, url.port().unwrap_or(0))).await;
        let listener = match wanted {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind((address, 0)).await,
        };
        let listener = listener.map_err(|error| error.to_string())?;
        let place = listener.local_addr().map_err(|error| error.to_string())?;
        // An http URL with a host takes every port.
        let _always = url.set_port(Some(place.port()));
        Ok(Self {
            listener,
            redirect_uri: url,
        })
    }

    /// The redirect URI with the port that listens.
    pub(super) fn redirect_uri(&self) -> &str {
        self.redirect_uri.as_str()
    }

    /// The first answer that comes, `None` if none does in time.
    pub(super) async fn wait(self, longest: Duration) -> Option<Parameters> {
        let (sender, mut receiver) = mpsc::channel(1);
        let door = Arc::new(Door {
            path: self.redirect_uri.path().to_owned(),
            sender,
        });
        let router = Router::new().fallback(answer).with_state(door);
        let serving = axum::serve(self.listener, router).into_future();
        tokio::select! {
            found = tokio::time::timeout(longest, receiver.recv()) => found.ok().flatten(),
            _ended = serving => None,
        }
    }
}

/// Where answers are taken.
struct Door {
    path: String,
    sender: mpsc::Sender<Parameters>,
}

async fn answer(State(door): State<Arc<Door>>, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default().as_bytes();
    let parameters: Parameters = form_urlencoded::parse(query).into_owned().collect();
    let is_answer = parameters
        .iter()
        .any(|(name, _)| name == "code" || name == "error");
    // Browsers ask for icons too.
    if uri.path() != door.path || !is_answer {
        return StatusCode::NOT_FOUND.into_response();
    }
    // The first answer counts, and this is another one if it is not taken.
    let _taken = door.sender.try_send(parameters);
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    (headers, Html(PAGE)).into_response()
}
