//! What happens between requests.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::state::AppState;

/// How often a server looks for changes made elsewhere: they must show within a second.
const TICK: Duration = Duration::from_millis(750);
/// How often what has ended is taken away.
const SWEEP: Duration = Duration::from_mins(1);

/// Runs until the shutdown completes: watches for changes made by other processes, rotates keys by
/// the clock, and sweeps what has ended. Failures are logged and tried again.
pub async fn run(state: AppState, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut ticker = tokio::time::interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweeper = tokio::time::interval(SWEEP);
    sweeper.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            _ = ticker.tick() => tick(&state).await,
            _ = sweeper.tick() => sweep(&state).await,
        }
    }
}

/// Does once what [`run`] does again and again.
pub async fn tick(state: &AppState) {
    // Logged by `refresh` itself, when it begins and when it ends.
    if state.refresh().await.is_err() {
        return;
    }
    if let Err(error) = state.keep_keys().await {
        tracing::error!(%error, "signing keys could not be rotated or swept");
    }
    if let Err(error) = state.sweep_registrations().await {
        tracing::error!(%error, "unused registrations could not be swept");
    }
}

/// Takes away what has ended.
pub async fn sweep(state: &AppState) {
    if let Err(error) = state.sweep_people().await {
        tracing::error!(%error, "sessions and requests that ended could not be swept");
    }
    if let Err(error) = state.sweep_grants().await {
        tracing::error!(%error, "codes, tokens and grants that ended could not be swept");
    }
}
