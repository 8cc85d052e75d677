//! Waits in real time, which a container takes to start.

use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(50);

/// Tries again and again until there is a result; `None` if there is none in time.
pub(crate) async fn until<T, F>(limit: Duration, attempt: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Option<T>>,
{
    let attempts = async {
        loop {
            if let Some(result) = attempt().await {
                return result;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(limit, attempts).await.ok()
}
