//! Retries at the start: the servers may be starting too, or be electing a leader.

use std::{error::Error as StdError, future::Future, time::Duration};

use pavane_outbox::chain;
use tokio::time::{Instant, sleep};
use tracing::warn;

/// How long a start retries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    until: Instant,
}

impl Patience {
    pub(crate) fn new(start_within: Duration) -> Self {
        Self { until: Instant::now() + start_within }
    }

    /// Retries until an attempt succeeds, fails for good, or the time is over. `what` reads after "failed to".
    pub(crate) async fn outlast<T, E: StdError + 'static, F: Future<Output = Result<T, E>>>(
        self,
        what: &str,
        is_passing: fn(&E) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, E> {
        const PAUSE_MAX: Duration = Duration::from_secs(2);
        let mut pause = Duration::from_millis(50);
        loop {
            // Boxed: the future is large, and would otherwise be a part of that of every start.
            let error = match Box::pin(attempt()).await {
                Err(error) if is_passing(&error) => error,
                settled => return settled,
            };
            let left = self.until.saturating_duration_since(Instant::now());
            if left <= pause {
                return Err(error);
            }
            warn!(
                error = chain(&error),
                seconds_left = left.as_secs(),
                "failed to {what}; trying again, for as long as start_within allows"
            );
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use pavane_bus::Error;

    use super::*;

    async fn attempts(errors: &[fn() -> Error]) -> (usize, Result<(), Error>) {
        let mut attempts = 0;
        let result = Patience::new(Duration::from_secs(10)).outlast("start", Error::is_passing, || {
            let result = errors.get(attempts).map_or(Ok(()), |error| Err(error()));
            attempts += 1;
            std::future::ready(result)
        });
        let result = result.await;
        (attempts, result)
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_outlasted_and_what_does_not_is_said_at_once() {
        let passing = || Error::Unavailable("no leader".to_owned());
        let lasting = || Error::Denied("no".to_owned());
        assert!(matches!(attempts(&[passing, passing, passing]).await, (4, Ok(()))));
        assert!(matches!(attempts(&[passing, lasting, passing]).await, (2, Err(Error::Denied(_)))));
        let (many, result) = attempts(&[passing as fn() -> Error; 1000]).await;
        assert!(many > 5 && many < 50 && matches!(result, Err(Error::Unavailable(_))), "{many}: {result:?}");
    }
}
