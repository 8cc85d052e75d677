//! Serves the fixture of the conformance suite behind the guard: `conformance_fixture [--bare]`.
//!
//! Prints one line of JSON once it accepts connections: `url`, `token`, and `proxy_port`, a free port
//! for the proxy that adds the token; the guard takes that proxy's origin for its own. With `--bare`
//! nothing stands in front of the fixture, and there is only a `url`.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use portcullis_testkit::fixture::{fixture_service, guarded_fixture};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[tokio::main]
async fn main() -> io::Result<()> {
    let is_bare = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--bare" => true,
        _ => {
            let usage = "usage: conformance_fixture [--bare]";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, usage));
        }
    };
    let listener = TcpListener::bind(ANY_PORT).await?;
    let origin = format!("http://localhost:{}", listener.local_addr()?.port());
    let url = format!("{origin}/mcp");
    let shutdown = CancellationToken::new();
    let (router, announcement) = if is_bare {
        let service = fixture_service(shutdown.clone());
        (
            Router::new().route_service("/mcp", service),
            json!({ "url": url }),
        )
    } else {
        let proxy_port = free_port().await?;
        let front = format!("http://localhost:{proxy_port}");
        let guarded = guarded_fixture(&origin, &front, shutdown.clone())?;
        let announcement = json!({ "url": url, "token": guarded.token, "proxy_port": proxy_port });
        (guarded.router, announcement)
    };
    writeln!(io::stdout(), "{announcement}")?;
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            // Without a signal handler the fixture simply goes on.
            let _ = tokio::signal::ctrl_c().await;
            shutdown.cancel();
        })
        .await
}

/// A port that was free a moment ago: the guard must know the proxy's origin before it starts.
async fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind(ANY_PORT).await?;
    Ok(listener.local_addr()?.port())
}
