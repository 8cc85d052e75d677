//! Whether Redis is tried at all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long nobody tries after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// After a failure nobody tries for a second, and then one at a time, until one succeeds. So a Redis
/// that does not answer costs one request in a second the time-out, and not every one.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// `None` while all is well; else when the next may try.
    next_try: Option<Instant>,
    is_trying: bool,
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    WentAway,
    CameBack,
    Nothing,
}

/// The leave to try. Dropped without a result it changes nothing.
#[derive(Debug)]
#[must_use]
pub(super) struct Pass<'a> {
    circuit: &'a Circuit,
    /// Whether this is the one try that others wait for.
    is_probe: bool,
}

impl Circuit {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last result was a failure.
    pub(super) fn is_open(&self) -> bool {
        self.state().next_try.is_some()
    }

    /// The leave to try now, or none.
    pub(super) fn pass(&self) -> Option<Pass<'_>> {
        let mut state = self.state();
        let is_probe = match state.next_try {
            None => false,
            Some(at) if !state.is_trying && Instant::now() >= at => {
                state.is_trying = true;
                true
            }
            Some(_) => return None,
        };
        Some(Pass {
            circuit: self,
            is_probe,
        })
    }

    /// The leave of somebody who tries regularly, whatever the others do.
    pub(super) fn regular(&self) -> Pass<'_> {
        let mut state = self.state();
        let is_probe = state.next_try.is_some();
        state.is_trying = is_probe;
        Pass {
            circuit: self,
            is_probe,
        }
    }
}

impl Pass<'_> {
    /// Whether Redis was away before.
    pub(super) const fn is_probe(&self) -> bool {
        self.is_probe
    }

    pub(super) fn succeeded(self) -> Change {
        let mut state = self.circuit.state();
        // An answer that was under way when another failed proves nothing.
        if self.is_probe && state.next_try.take().is_some() {
            Change::CameBack
        } else {
            Change::Nothing
        }
    }

    pub(super) fn failed(self) -> Change {
        let mut state = self.circuit.state();
        match state.next_try.replace(Instant::now() + PAUSE) {
            None => Change::WentAway,
            Some(_) => Change::Nothing,
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.circuit.state().is_trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_tries_in_a_second_until_one_succeeds() {
        let circuit = Circuit::default();
        let (first, second) = (circuit.pass().unwrap(), circuit.pass().unwrap());
        assert_eq!(first.failed(), Change::WentAway);
        assert_eq!(second.failed(), Change::Nothing);
        assert!(circuit.is_open() && circuit.pass().is_none());
        tokio::time::advance(PAUSE).await;
        let probe = circuit.pass().unwrap();
        assert!(probe.is_probe() && circuit.pass().is_none());
        drop(probe);
        assert_eq!(circuit.pass().unwrap().failed(), Change::Nothing);
        assert!(circuit.pass().is_none());
        tokio::time::advance(PAUSE).await;
        assert_eq!(circuit.pass().unwrap().succeeded(), Change::CameBack);
        assert!(!circuit.is_open() && circuit.pass().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_under_way_does_not_hide_a_failure_after_it() {
        let circuit = Circuit::default();
        let (slow, broken) = (circuit.pass().unwrap(), circuit.pass().unwrap());
        assert_eq!(broken.failed(), Change::WentAway);
        assert_eq!(slow.succeeded(), Change::Nothing);
        assert!(circuit.is_open());
        assert_eq!(circuit.regular().succeeded(), Change::CameBack);
    }
}
