//! `portcullis serve|authz|resource`

use portcullis_common::config::Role;
use portcullis_common::telemetry;
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Failure, greeting};
use crate::app::{Ambient, App};
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
    let first = match app.authz() {
        Some(authz) => greeting::first_account(*context.output, &config, authz).await?,
        None => None,
    };
    if context.output.is_terminal() {
        greeting::greet(*context.output, role, &config, first.as_ref());
    }
    drop(first);
    app.run(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await;
    Ok(())
}
