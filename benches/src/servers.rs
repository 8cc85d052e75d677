//! The servers under load, each on one thread of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, mpsc};

use axum::{Extension, Router};
use portcullis::{Ambient, App, Limits, serve};
use portcullis_common::clock::{Clock as _, SystemClock, Timestamp};
use portcullis_common::config::{Config, Role, Sources, load};
use portcullis_common::scope::Scope;
use portcullis_resource::MCP_PATH;
use portcullis_resource::guard::{Caller, Principal};
use portcullis_resource::mcp::{self, McpOptions, RegistryOptions, tools};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The client of the benchmarks.
pub(crate) const CLIENT: &str = "bench";
/// Its secret; the server lives on loopback for the length of the benchmark.
pub(crate) const SECRET: &str = "bench-9a1f0c7e5d3b4826";

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The configuration of the product under load: defaults, on free ports.
pub(crate) fn config(folder: &Path) -> Outcome<Config> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let file = format!(
        "[server]\nlisten = '127.0.0.1:{port}'\n[store]\nurl = 'sqlite://{}/bench.db'\n\
         [authz]\naccess_token_ttl = '1h'\n\
         [[authz.clients]]\nid = '{CLIENT}'\nsecret = '{SECRET}'\nauth_method = 'client_secret_post'\n",
        folder.display()
    );
    let environment = std::collections::BTreeMap::new();
    let sources = Sources {
        file: Some((Path::new("bench.toml"), &file)),
        environment: &environment,
        read_secret: &|path| std::fs::read_to_string(path),
    };
    load(Role::Both, sources).map_err(|problems| format!("{problems:?}").into())
}

/// Runs a server on a thread of its own until the process ends; gives its address.
fn on_one_thread<F>(start: F) -> Outcome<SocketAddr>
where
    F: AsyncFnOnce(mpsc::Sender<SocketAddr>) -> Outcome<()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || -> Outcome<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(start(sender))
    });
    Ok(receiver.recv()?)
}

/// The whole product.
pub(crate) fn product(config: Config) -> Outcome<SocketAddr> {
    on_one_thread(async move |ready| {
        let ambient = Ambient::system(Role::Both, &config)?;
        let app = App::open(Role::Both, config, ambient).await?;
        ready.send(app.address())?;
        app.run(std::future::pending()).await;
        Ok(())
    })
}

/// The same MCP server, listener and router without the guard and the front: every request is taken
/// for that of one fixed caller.
pub(crate) fn bare(config: Config) -> Outcome<SocketAddr> {
    on_one_thread(async move |ready| {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ready.send(listener.local_addr()?)?;
        let registry = tools::demo(RegistryOptions {
            name: "bare".to_owned(),
            version: "0".to_owned(),
            clock: Arc::new(SystemClock),
            scopes: config.scopes.clone(),
            settings: Value::Null,
        })?;
        let options = McpOptions {
            allowed_hosts: config.resource.allowed_hosts.clone(),
            allowed_origins: vec![config.resource.identifier.origin()],
            max_body: config.resource.max_body,
            ..McpOptions::default()
        };
        let caller = caller("mcp:read".parse()?);
        let router = Router::new()
            .route_service(MCP_PATH, mcp::service(Arc::new(registry), &options))
            .layer(Extension(caller));
        serve(
            listener,
            None,
            router,
            Limits::from(&config.server),
            CancellationToken::new(),
        )
        .await;
        Ok(())
    })
}

fn caller(scopes: Scope) -> Caller {
    Caller {
        issuer: "https://bench.test".to_owned(),
        subject: "client:bench".to_owned(),
        client: Some(CLIENT.to_owned()),
        principal: Principal::Client,
        scopes,
        roles: Vec::new(),
        username: None,
        email: None,
        email_verified: None,
        expires_at: Timestamp::from_seconds(SystemClock.now().seconds() + 3600),
        grant: None,
        correlation_id: "bench".to_owned(),
        trace: None,
        request_trace: None,
        source: None,
    }
}
