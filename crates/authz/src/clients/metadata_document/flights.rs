//! One fetch for all who ask for the same document at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::{DocumentError, DocumentFault};
use crate::clients::Client;

/// How a fetch ended, told to all who waited for it.
pub(super) type Outcome = Result<Arc<Client>, DocumentFault>;

type Flight = Arc<OnceCell<Outcome>>;

/// The fetches that are under way.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<String, Flight>>);

/// A place in a fetch that is under way, or is about to begin.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    flights: &'a Flights,
    id: &'a str,
    flight: Flight,
}

impl Flights {
    /// Joins the fetch of this id.
    pub(super) fn join<'a>(&'a self, id: &'a str) -> Joined<'a> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let flight = Arc::clone(open.entry(id.to_owned()).or_default());
        Joined {
            flights: self,
            id,
            flight,
        }
    }
}

impl Joined<'_> {
    /// Waits for the outcome. The first who comes here sets out; if that one goes away before the
    /// end, or may not set out, the next one does.
    pub(super) async fn outcome<F>(
        &self,
        set_out: impl FnOnce() -> F,
    ) -> Result<Outcome, DocumentError>
    where
        F: Future<Output = Result<Outcome, DocumentError>>,
    {
        self.flight.get_or_try_init(set_out).await.cloned()
    }
}

/// Whoever comes after the end begins anew; and nothing is left of a fetch that all have left.
impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut open = self
            .flights
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_mine = open
            .get(self.id)
            .is_some_and(|flight| Arc::ptr_eq(flight, &self.flight));
        // Two: the one in the table, and mine.
        let is_last = Arc::strong_count(&self.flight) == 2;
        if is_mine && (is_last || self.flight.initialized()) {
            open.remove(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    const FAULT: DocumentFault = DocumentFault::MediaType;

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_at_once_get_the_outcome_of_one_fetch_and_the_next_begins_anew() {
        let (flights, fetches) = (Flights::default(), AtomicUsize::new(0));
        let ask = async || {
            let joined = flights.join("a");
            let fetch = || async {
                fetches.fetch_add(1, Ordering::SeqCst);
                // The others get their turn while it is under way.
                tokio::task::yield_now().await;
                Ok(Err(FAULT))
            };
            joined.outcome(fetch).await.unwrap().unwrap_err()
        };
        let outcomes = tokio::join!(ask(), ask(), ask());
        assert_eq!(outcomes, (FAULT, FAULT, FAULT));
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        ask().await;
        assert_eq!(fetches.load(Ordering::SeqCst), 2);
        assert!(flights.0.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_takes_nobody_along_and_leaves_nothing() {
        let flights = Flights::default();
        let patient = async {
            let joined = flights.join("a");
            joined.outcome(|| async { Ok(Err(FAULT)) }).await.unwrap()
        };
        let hasty = async {
            let joined = flights.join("a");
            let endless = joined.outcome(std::future::pending);
            tokio::time::timeout(Duration::from_secs(1), endless)
                .await
                .unwrap_err();
        };
        let ((), outcome) = tokio::join!(hasty, patient);
        assert_eq!(outcome.unwrap_err(), FAULT);
        assert!(flights.0.lock().unwrap().is_empty());
    }
}
