use std::{fmt, pin::Pin};

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::task::unconstrained;

/// What the other instances of a service say when they have committed something to be published.
///
/// See [`Bus::listen`](crate::Bus::listen). A wake may be lost; several that came meanwhile are one.
pub struct Wakes(Pin<Box<dyn Stream<Item = ()> + Send>>);

impl Wakes {
    pub(crate) fn new(wakes: impl Stream<Item = ()> + Send + 'static) -> Self {
        Self(Box::pin(wakes))
    }

    /// Of a bus that carries none.
    pub fn never() -> Self {
        Self::new(futures_util::stream::pending())
    }

    /// Waits for a wake, and takes those with it that are there already. Never returns once the connection is closed for good.
    /// Cancel-safe.
    pub async fn next(&mut self) {
        if self.0.next().await.is_none() {
            std::future::pending::<()>().await;
        }
        // Unconstrained, because tokio's cooperation would leave some for the next time.
        while let Some(Some(())) = unconstrained(self.0.next()).now_or_never() {}
    }
}

impl fmt::Debug for Wakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakes").finish_non_exhaustive()
    }
}
