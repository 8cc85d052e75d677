//! The guard around somebody else's rmcp server. It reads the same configuration as
//! `portcullis resource`, so `PORTCULLIS_RESOURCE_AUTHORIZATION_SERVERS` names the issuer.

mod theirs;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use portcullis_common::config::{Role, Sources, load};
use portcullis_resource::guard::{Guard, ScopeForEverything};
use portcullis_resource::metadata;
use rmcp::transport::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use theirs::Adder;
use tokio::net::TcpListener;
use tower::Layer as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "main hands the environment in")]
    let environment = std::env::vars().collect();
    let sources = Sources::of_environment(&environment);
    let config = load(Role::Resource, sources).map_err(|found| format!("{found:#?}"))?;
    let guard = Guard::of_system(&config, ScopeForEverything("mcp:write".parse()?))?;

    let sessions = Arc::new(LocalSessionManager::default());
    let theirs = StreamableHttpService::new(|| Ok(Adder::new()), sessions, <_>::default());
    let app = Router::new()
        .route_service("/mcp", guard.mcp_layer().layer(theirs))
        .merge(metadata::router(&config.resource, "Adder"));
    let listener = TcpListener::bind(config.server.listen).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
