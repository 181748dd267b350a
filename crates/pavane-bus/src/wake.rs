use std::{fmt, pin::Pin};

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::task::unconstrained;

/// The wakes of a service: its instances send one when they have committed something to be published.
///
/// See [`Bus::listen`](crate::Bus::listen). A wake may be lost; several become one.
pub struct Wakes(Pin<Box<dyn Stream<Item = ()> + Send>>);

impl Wakes {
    pub(crate) fn new(wakes: impl Stream<Item = ()> + Send + 'static) -> Self {
        Self(Box::pin(wakes))
    }

    /// For a bus that carries no wakes.
    pub fn never() -> Self {
        Self::new(futures_util::stream::pending())
    }

    /// Waits for a wake, and takes those that are there already. Never completes once the connection is closed for good.
    /// Cancel-safe.
    pub async fn next(&mut self) {
        if self.0.next().await.is_none() {
            std::future::pending::<()>().await;
        }
        // Unconstrained, because tokio's cooperative budget would leave some for the next call.
        while let Some(Some(())) = unconstrained(self.0.next()).now_or_never() {}
    }
}

impl fmt::Debug for Wakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakes").finish_non_exhaustive()
    }
}
