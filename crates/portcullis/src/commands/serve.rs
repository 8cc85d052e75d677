//! `portcullis serve|authz|resource`

use portcullis_common::audit::AuditTrail;
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
    let ambient = Ambient::system(role, &config)?;
    let app = App::open(role, config.clone(), ambient).await?;
    tracing::info!(address = %app.address(), version = env!("CARGO_PKG_VERSION"), "listening");
    let first = match app.authz() {
        Some(authz) => {
            greeting::first_account(*context.output, &config, authz, app.audit()).await?
        }
        None => None,
    };
    if context.output.is_terminal() {
        greeting::greet(*context.output, role, &config, first.as_ref());
    }
    drop(first);
    follow_rotations(app.audit().clone())?;
    app.run(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await;
    Ok(())
}

/// Looks at the file of the audit trail anew at each SIGHUP. Without a trail the signal keeps its
/// meaning, which is the end.
fn follow_rotations(audit: AuditTrail) -> Result<(), Failure> {
    if !audit.is_on() {
        return Ok(());
    }
    let mut hangup = signal(SignalKind::hangup())?;
    // Ends with the process.
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let audit = audit.clone();
            // The writer says in the log what is wrong.
            let _flushed = tokio::task::spawn_blocking(move || audit.flush()).await;
        }
    });
    Ok(())
}
