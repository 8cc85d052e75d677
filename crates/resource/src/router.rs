//! Every path and every layer of the resource server, on one screen.

use std::sync::Arc;

use axum::Router;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method};
use portcullis_common::config::ResourceConfig;
use tower::ServiceBuilder;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::mcp::{self, McpOptions, SharedEndpoint};
use crate::state::ResourceState;
use crate::{metadata, rest};

/// The path of the MCP endpoint.
pub const MCP_PATH: &str = "/mcp";

/// The routes of the resource server.
///
/// Public: the metadata and the documentation. Everything else stands behind the guard.
pub fn router(state: &ResourceState) -> Router {
    let config = state.config();
    let registry = state.registry();
    let endpoint = SharedEndpoint::new(mcp::service(Arc::clone(registry), &options(state)));
    let guarded_mcp = ServiceBuilder::new()
        .layer(state.calls().clone()) // a stop waits for calls
        .option_layer(cors(config)) // browsers ask first, without a token
        .layer(state.guard().mcp_layer()) // every check of a call, in its order
        .service(endpoint);
    let guarded_rest = rest::protected(Arc::clone(registry))
        .layer(state.guard().rest_layer(rest::operation_of))
        .layer(ServiceBuilder::new().option_layer(cors(config)));
    Router::new()
        .route_service(MCP_PATH, guarded_mcp)
        .merge(guarded_rest)
        .merge(metadata::router(config, &registry.options().name))
        .merge(rest::public(registry, state.public_url()))
}

/// What the transport behind the guard is told, from the same configuration.
fn options(state: &ResourceState) -> McpOptions {
    let config = state.config();
    McpOptions {
        allowed_hosts: config.allowed_hosts.clone(),
        allowed_origins: allowed_origins(config),
        max_body: config.max_body,
        shared_sessions: state.shared_sessions(),
        shutdown: state.calls().streams().clone(),
        ..McpOptions::default()
    }
}

/// The origins on the list, and our own: our pages may call.
fn allowed_origins(config: &ResourceConfig) -> Vec<String> {
    let own = std::iter::once(config.identifier.origin());
    config.allowed_origins.iter().cloned().chain(own).collect()
}

/// CORS for the origins on the list; without a list there is none.
fn cors(config: &ResourceConfig) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = config
        .allowed_origins
        .iter()
        .filter_map(|origin| origin.parse().ok())
        .collect();
    let header = HeaderName::from_static;
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers([
                AUTHORIZATION,
                CONTENT_TYPE,
                header("mcp-protocol-version"),
                header("mcp-method"),
                header("mcp-name"),
                header("mcp-session-id"),
                header("last-event-id"),
                header("traceparent"),
                header("x-correlation-id"),
            ])
            .expose_headers([WWW_AUTHENTICATE, header("mcp-session-id")])
    })
}
