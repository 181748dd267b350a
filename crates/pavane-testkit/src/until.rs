//! The one loop of the test kit that looks again and again.

use std::{fmt::Display, time::Duration};

use tokio::time::{Instant, sleep};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_millis(5);

/// Looks every few milliseconds until there is something, and returns it.
///
/// For what a test can't be told of: what another process, a browser or a task of the service has done. [`given`](crate::given)
/// needs none of it.
///
/// # Panics
///
/// When there is nothing after a minute; the message says `what` was waited for.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    found(async || look().await.ok_or(what)).await
}

/// The same for a look that says itself what is missing.
pub(crate) async fn found<T, M: Display>(mut look: impl AsyncFnMut() -> Result<T, M>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(missing) if Instant::now() > deadline => panic!("waited {LIMIT:?} in vain for {missing}"),
            Err(_) => sleep(EVERY).await,
        }
    }
}
