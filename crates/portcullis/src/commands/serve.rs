//! `portcullis serve|authz|resource`

use portcullis_common::config::{Config, Role};
use portcullis_common::telemetry;
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Failure};
use crate::app::{Ambient, App};
use crate::output::Output;
use crate::settings;

pub(super) async fn run(context: Context<'_>, role: Role) -> Result<(), Failure> {
    let config = context.config(role)?;
    telemetry::start(&config.log, context.output.logs_to_terminal())?;
    for line in settings::loosened(&config, context.environment) {
        tracing::warn!("{line}");
    }
    // Taken before the start, so that a stop during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let ambient = Ambient::system(&config)?;
    let app = App::open(role, config.clone(), ambient).await?;
    tracing::info!(address = %app.address(), version = env!("CARGO_PKG_VERSION"), "listening");
    if context.output.is_terminal() {
        greet(*context.output, role, &config);
    }
    app.run(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await;
    Ok(())
}

/// What to do next, for a person at a terminal.
fn greet(output: Output, role: Role, config: &Config) {
    output.line("");
    output.line("Portcullis is up. Ctrl-C stops it.");
    if role != Role::Authz {
        output.line(format_args!(
            "  MCP endpoint   {}",
            config.resource.identifier
        ));
        output.line(format_args!(
            "  documentation  {}/docs",
            config.server.public_url
        ));
    }
    if role != Role::Resource {
        output.line(format_args!("  issuer         {}", config.authz.issuer));
        output.line("");
        output.line("Let an agent in:");
        output.line("  portcullis client add my-agent --grant client_credentials --scope 'mcp:read mcp:write'");
        output.line("  PORTCULLIS_CLIENT_SECRET=… portcullis token --client-id …");
    }
    output.line("");
}
