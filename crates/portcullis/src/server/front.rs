//! What every request passes first: an id, a line in the access log, a net for panics, and headers
//! that hold for every answer.

use std::any::Any;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use ipnet::IpNet;
use portcullis_common::client_address::ClientAddress;
use portcullis_common::client_certificate::{
    CertificateHeaders, Fronts, VerifiedClientCertificate,
};
use portcullis_common::config::ServerConfig;
use portcullis_common::correlation::{CORRELATION_HEADER, CorrelationId, CorrelationIds};
use portcullis_common::entropy::Entropy;
use portcullis_common::issuer::is_loopback_host;
use portcullis_common::metrics::{ErrorCode, SharedMetrics, method_label};
use portcullis_common::trace::{Attribute, OpenSpan, SpanKind, TraceContext, Tracer};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument as _, Span, field};
use url::Url;

use super::accept::PeerAddress;
use super::probe::PROBES;

/// What the front needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Front(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ids: CorrelationIds,
    metrics: SharedMetrics,
    tracer: Tracer,
    trusted_proxies: Vec<IpNet>,
    certificate_headers: Option<CertificateHeaders>,
    sends_hsts: bool,
}

impl Front {
    /// The front of a server with this configuration.
    pub(crate) fn new(
        config: &ServerConfig,
        entropy: &dyn Entropy,
        metrics: SharedMetrics,
        tracer: Tracer,
    ) -> Self {
        // RFC 6797 §8.1.1: the header counts over https only; for loopback names a browser would
        // remember it for every other program on the machine.
        let sends_hsts = Url::parse(&config.public_url)
            .is_ok_and(|url| url.scheme() == "https" && !is_loopback_host(&url));
        let trusted_proxies = config.trusted_proxies.clone();
        Self(Arc::new(Inner {
            ids: CorrelationIds::new(entropy),
            metrics,
            tracer,
            trusted_proxies,
            certificate_headers: config.client_certificate_headers.clone(),
            sends_hsts,
        }))
    }
}

/// Puts the front before all routes, as one layer: each layer of a router costs every request a
/// copy of the services below it.
pub(crate) fn layer(router: Router, front: Front) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(front) // outermost: id, log line, headers
            .layer(CatchPanicLayer::custom(after_panic)), // inside, so that the log has its line
    )
}

impl<S> Layer<S> for Front {
    type Service = BehindFront<S>;

    fn layer(&self, inner: S) -> BehindFront<S> {
        let front = self.clone();
        BehindFront { front, inner }
    }
}

/// A service behind the front.
#[derive(Clone, Debug)]
pub(crate) struct BehindFront<S> {
    front: Front,
    inner: S,
}

impl<S, R> Service<Request> for BehindFront<S>
where
    S: Service<Request, Response = Response<R>>,
    S::Future: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let front = self.front.clone();
        let arrival = front.receive(&mut request);
        let answer = arrival.span.in_scope(|| self.inner.call(request));
        Box::pin(async move {
            let response = answer.instrument(arrival.span.clone()).await?;
            Ok(front.send(arrival, response.map(Body::new)))
        })
    }
}

/// What is known of a request while it is answered.
struct Arrival {
    began: Instant,
    id: CorrelationId,
    client: ClientAddress,
    method: http::Method,
    endpoint: Option<MatchedPath>,
    /// The span in the log.
    span: Span,
    /// The span for the collector.
    traced: Option<OpenSpan>,
    line: AccessLine,
}

impl Front {
    /// Says who asks and under which id, for everything behind.
    fn receive(&self, request: &mut Request) -> Arrival {
        let id = self.0.ids.of(request.headers());
        let peer = request.extensions().get::<PeerAddress>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let client = ClientAddress::of(peer, request.headers(), &self.0.trusted_proxies);
        self.settle_certificate(peer, request);
        let parent = TraceContext::of(request.headers());
        let traced = self.0.tracer.begin(SpanKind::Server, parent);
        let trace = traced.as_ref().map(OpenSpan::context).or(parent);
        request.extensions_mut().insert(id.clone());
        request.extensions_mut().insert(client);
        if let Some(trace) = trace {
            request.extensions_mut().insert(trace);
        }
        Arrival {
            began: Instant::now(),
            client,
            method: request.method().clone(),
            endpoint: request.extensions().get::<MatchedPath>().cloned(),
            span: tracing::info_span!(
                "request",
                correlation_id = id.as_str(),
                trace_id = trace.map(TraceContext::trace_id),
                call_trace_id = field::Empty, // where the message names another trace
            ),
            traced,
            line: AccessLine::of(request),
            id,
        }
    }

    /// Leaves that client certificate with the request which counts, or none.
    fn settle_certificate(&self, peer: IpAddr, request: &mut Request) {
        let handshake = request.extensions_mut().remove();
        let fronts = Fronts {
            trusted: &self.0.trusted_proxies,
            headers: self.0.certificate_headers.as_ref(),
        };
        let counts =
            VerifiedClientCertificate::of_request(peer, request.headers(), fronts, handshake);
        if let Some(certificate) = counts {
            request.extensions_mut().insert(certificate);
        }
    }

    /// Sees an answer off.
    fn send(&self, arrival: Arrival, mut response: Response) -> Response {
        add_headers(self, &arrival.id, &mut response);
        let status = response.status();
        let endpoint = arrival.endpoint.as_ref();
        let endpoint = endpoint.map_or("other", MatchedPath::as_str);
        self.0.metrics.request(
            endpoint,
            &arrival.method,
            status.as_u16(),
            arrival.began.elapsed(),
        );
        let error = response.extensions().get::<ErrorCode>().copied();
        if error.is_some() || status.is_client_error() || status.is_server_error() {
            self.0.metrics.error(endpoint, error, status);
        }
        if let Some(traced) = arrival.traced.filter(|_| !PROBES.contains(&endpoint)) {
            let method = method_label(&arrival.method);
            end(traced, method, endpoint, status, &arrival.id);
        }
        let line = arrival.line;
        arrival
            .span
            .in_scope(|| line.write(arrival.client, status, arrival.began));
        response
    }
}

/// OpenTelemetry's names for what a server span says (semantic conventions, HTTP). Nothing of the
/// query, of headers or of the path itself: a route is what we declared.
fn end(span: OpenSpan, method: &'static str, route: &str, status: StatusCode, id: &CorrelationId) {
    let attributes = vec![
        ("http.request.method", Attribute::Text(method.into())),
        ("http.route", Attribute::Text(route.to_owned().into())),
        (
            "http.response.status_code",
            Attribute::Number(status.as_u16().into()),
        ),
        (
            "portcullis.correlation_id",
            Attribute::Text(id.to_string().into()),
        ),
    ];
    let name = format!("{method} {route}");
    span.end(name, attributes, status.is_server_error());
}

fn add_headers(front: &Front, id: &CorrelationId, response: &mut Response) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(CORRELATION_HEADER, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if front.0.sends_hsts {
        let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
}

/// What the access log says of a request. The query is left out: it may hold a code or a token.
struct AccessLine(Option<(http::Method, String)>);

impl AccessLine {
    fn of(request: &Request) -> Self {
        let is_wanted = tracing::enabled!(target: "portcullis::access", tracing::Level::INFO);
        // A path has no control characters; what is beyond ASCII may still confuse a reader of logs.
        let plain = |c: char| if c.is_ascii() { c } else { '?' };
        let path = || request.uri().path().chars().take(256).map(plain).collect();
        Self(is_wanted.then(|| (request.method().clone(), path())))
    }

    fn write(self, client: ClientAddress, status: StatusCode, began: Instant) {
        let Some((method, path)) = self.0 else { return };
        // Engines and load balancers ask every few seconds.
        if status.is_success() && PROBES.contains(&path.as_str()) {
            return;
        }
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "portcullis::access",
            %method,
            path,
            status = status.as_u16(),
            micros,
            client = %client.0,
            "answered"
        );
    }
}

/// A panic is a mistake of ours; it ends one request, and its text goes to the log alone.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the panic net hands the cause over"
)]
fn after_panic(cause: Box<dyn Any + Send>) -> Response<Body> {
    let text = cause
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| cause.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(panic = text, "a request ended in a panic");
    let body = r#"{"error":"server_error","error_description":"This is our mistake. Try again; if it comes back, tell the operator the X-Correlation-ID of this answer."}"#;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
