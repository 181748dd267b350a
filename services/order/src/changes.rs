use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use contracts::OrderId;
use pavane::any::Tx;
use tokio::sync::{Notify, futures::Notified};

/// How many `Notify`s all orders share: a wake-up too many costs one read, and memory stays bounded.
const SHARED: usize = 256;

/// Wakes the requests that follow an order in this process when it has changed. Clones share the subscribers.
///
/// A hint only: nobody is woken when another instance handles the event, nor when this process dies right after the
/// commit. So requests that follow an order also poll, at growing intervals.
#[derive(Debug, Clone)]
pub(crate) struct Changes(Arc<[Notify]>);

impl Default for Changes {
    fn default() -> Self {
        Self((0..SHARED).map(|_| Notify::new()).collect())
    }
}

impl Changes {
    /// Announces that something about an order has changed, once the transaction that changes it has committed.
    pub(crate) fn announce_after(&self, tx: &mut Tx, order: OrderId) {
        let changes = self.clone();
        tx.after_commit(move || changes.announce(order));
    }

    fn announce(&self, order: OrderId) {
        self.shared(order).notify_waiters();
    }

    /// Completes at the next announcement after this call.
    pub(crate) fn next(&self, order: OrderId) -> Notified<'_> {
        self.shared(order).notified()
    }

    fn shared(&self, order: OrderId) -> &Notify {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(order);
        // Fewer than any integer has values.
        &self.0[usize::try_from(hash % SHARED as u64).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use pavane::{SagaId, contract::SystemClock};

    use super::*;

    #[test]
    fn a_waiting_request_is_woken_by_the_next_announcement_only() {
        let changes = Changes::default();
        let order = OrderId::from(SagaId::new(&SystemClock).as_uuid());
        changes.announce(order);
        let (mut first, mut second) = (Box::pin(changes.next(order)), Box::pin(changes.next(order)));
        assert_eq!((first.as_mut().now_or_never(), second.as_mut().now_or_never()), (None, None));
        changes.announce(order);
        assert_eq!((first.now_or_never(), second.now_or_never()), (Some(()), Some(())));
        assert_eq!(changes.next(order).now_or_never(), None);
    }
}
