//! Serves the conformance fixture: `conformance_fixture --bare [--listen ADDRESS]`.
//!
//! With `--bare` nothing stands in front of it. The address is printed once it accepts connections.

use std::io::{self, Write};
use std::net::SocketAddr;

use axum::Router;
use portcullis_testkit::fixture::fixture_service;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bare") {
        return Err(wrong_usage(
            "say --bare: the guarded fixture is not wired here",
        ));
    }
    let listener = TcpListener::bind(address(&arguments)?).await?;
    let shutdown = CancellationToken::new();
    let router = Router::new().route_service("/mcp", fixture_service(shutdown.clone()));
    writeln!(io::stdout(), "http://{}/mcp", listener.local_addr()?)?;
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            // Without a signal handler the fixture simply goes on.
            let _ = tokio::signal::ctrl_c().await;
            shutdown.cancel();
        })
        .await
}

fn address(arguments: &[String]) -> io::Result<SocketAddr> {
    let mut rest = arguments
        .iter()
        .skip_while(|argument| *argument != "--listen");
    match (rest.next(), rest.next()) {
        (Some(_), Some(address)) => address
            .parse()
            .map_err(|_| wrong_usage("--listen takes an address such as 127.0.0.1:3901")),
        _ => Ok(SocketAddr::from(([127, 0, 0, 1], 3901))),
    }
}

fn wrong_usage(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
