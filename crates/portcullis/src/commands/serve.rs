//! `portcullis serve|authz|resource`

use portcullis_common::audit::AuditTrail;
use portcullis_common::config::Role;
use portcullis_common::telemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Context, Failure, greeting};
use crate::app::{Ambient, App};
use crate::server::Tls;
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
    // Without HTTPS or a trail nothing listens to it, and a terminal that closes ends the server as it
    // should.
    let hangup = match (&config.server.tls, &config.audit_sink) {
        (None, None) => None,
        _ => Some(signal(SignalKind::hangup())?),
    };
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
    if let Some(hangup) = hangup {
        tokio::spawn(follow(hangup, app.tls().cloned(), app.audit().clone()));
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

/// SIGHUP: whoever renewed the certificate or moved the trail away need not wait for the next look
/// at the files.
async fn follow(mut hangup: Signal, tls: Option<Tls>, audit: AuditTrail) {
    while hangup.recv().await.is_some() {
        if let Some(tls) = &tls {
            tls.reload();
        }
        let audit = audit.clone();
        // The writer says in the log what is wrong.
        let _flushed = tokio::task::spawn_blocking(move || audit.flush()).await;
    }
}
