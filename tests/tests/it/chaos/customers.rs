//! Customers who come again and again, until they leave.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(super) struct Customers<T> {
    tasks: JoinSet<Vec<T>>,
    leave: CancellationToken,
}

impl<T: Send + 'static> Customers<T> {
    /// So many at once buy one thing after the other; `buy` is told the number of each, and lasts until it has ended.
    pub(super) fn arrive<F>(at_once: usize, buy: impl Fn(usize) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = T> + Send,
    {
        let (mut tasks, leave, next) = (JoinSet::new(), CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..at_once {
            let (leave, next, buy) = (leave.clone(), Arc::clone(&next), buy.clone());
            tasks.spawn(async move {
                let mut settled = Vec::new();
                while !leave.is_cancelled() {
                    settled.push(buy(next.fetch_add(1, Ordering::Relaxed)).await);
                }
                settled
            });
        }
        Self { tasks, leave }
    }

    /// Waits until all that was begun has ended.
    pub(super) async fn leave(self) -> Vec<T> {
        self.leave.cancel();
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}
