//! The guard around somebody else's rmcp server. It reads the same configuration as
//! `portcullis resource`, so `PORTCULLIS_RESOURCE_AUTHORIZATION_SERVERS` names the issuer.

mod theirs;

use std::sync::Arc;

use axum::Router;
use portcullis_common::clock::SystemClock;
use portcullis_common::config::{self, Role, Sources};
use portcullis_common::fetch::HttpFetcher;
use portcullis_resource::guard::{Guard, GuardParts, ScopeForEverything};
use portcullis_resource::metadata;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::StreamableHttpService;
use theirs::Adder;
use tower::Layer as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[expect(clippy::disallowed_methods, reason = "main hands the environment in")]
    let environment = std::env::vars().collect();
    let read_secret = |path: &std::path::Path| std::fs::read_to_string(path);
    let sources = Sources {
        file: None,
        environment: &environment,
        read_secret: &read_secret,
    };
    let config = config::load(Role::Resource, sources).map_err(|found| format!("{found:?}"))?;
    let guard = Guard::new(
        &config.resource,
        GuardParts {
            hierarchy: config.scopes,
            clock: Arc::new(SystemClock),
            fetcher: Arc::new(HttpFetcher::new(None)?),
            policy: Box::new(ScopeForEverything("mcp:write".parse()?)),
        },
    );
    let sessions = Arc::new(LocalSessionManager::default());
    let theirs = StreamableHttpService::new(|| Ok(Adder::new()), sessions, <_>::default());
    let app = Router::new()
        .route_service("/mcp", guard.mcp_layer().layer(theirs))
        .merge(metadata::router(&config.resource, "Somebody else's server"));
    axum::serve(
        tokio::net::TcpListener::bind(config.server.listen).await?,
        app,
    )
    .await?;
    Ok(())
}
