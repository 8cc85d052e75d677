//! Protected-resource metadata (RFC 9728).

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use portcullis_common::config::ResourceConfig;
use portcullis_common::resource_indicator::WELL_KNOWN_PROTECTED_RESOURCE;
use portcullis_common::scope::ScopeToken;
use serde::Serialize;
use tower_http::cors::CorsLayer;
use url::Url;

/// The document of RFC 9728 §2; members that have no value are left out (§3.2).
#[derive(Debug, Serialize)]
struct ProtectedResourceMetadata<'a> {
    resource: &'a str,
    authorization_servers: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'a str,
}

/// The routes of the metadata: the path form, which challenges name, and the root form, which
/// clients in the field ask for. Both are public and the same.
pub fn router<S: Clone + Send + Sync + 'static>(config: &ResourceConfig, name: &str) -> Router<S> {
    let servers = config.authorization_servers.iter();
    let document = ProtectedResourceMetadata {
        resource: config.identifier.as_str(),
        authorization_servers: servers.map(|server| server.issuer.as_str()).collect(),
        // MCP 2026-07-28 (authorization): a minimal set, and never `offline_access`.
        scopes_supported: config
            .scopes
            .iter()
            .map(ScopeToken::as_str)
            .filter(|scope| *scope != "offline_access")
            .collect(),
        bearer_methods_supported: ["header"],
        resource_name: name,
    };
    let body = Bytes::from(serde_json::to_vec(&document).unwrap_or_default());
    let answer = move || {
        let headers = [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "public, max-age=300"),
        ];
        std::future::ready((headers, body.clone()))
    };
    paths(config)
        .into_iter()
        .fold(Router::new(), |router, path| {
            router.route(&path, get(answer.clone()))
        })
        .layer(
            CorsLayer::new()
                .allow_origin(tower_http::cors::Any)
                .allow_methods([http::Method::GET]),
        )
}

/// Where it stands: at the root, below `/mcp`, and where RFC 9728 §3.1 puts it for an identifier
/// with another path.
fn paths(config: &ResourceConfig) -> Vec<String> {
    let root = WELL_KNOWN_PROTECTED_RESOURCE;
    let own = Url::parse(&config.identifier.metadata_url()).map(|url| url.path().to_owned());
    let mut paths = vec![root.to_owned(), format!("{root}/mcp")];
    paths.extend(own);
    paths.sort();
    paths.dedup();
    paths
}
