use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    Shared,
    consumer::{Answer, DeliveryId, Taken},
};
use crate::{Delivery, Error, Settle};

/// An open durable consumer in memory.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    durable: String,
}

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>, durable: String) -> Self {
        Self { shared, durable }
    }

    /// Up to `credits` deliveries that are there now; none while disconnected. Never waits: for a scheduler.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] when the consumer was deleted.
    pub fn try_receive(&mut self, credits: usize) -> Result<Vec<Delivery>, Error> {
        let taken = self.shared.take(&self.durable, credits)?;
        Ok(taken.into_iter().map(|taken| self.delivery(taken)).collect())
    }

    fn delivery(&self, taken: Taken) -> Delivery {
        let Taken { message, delivered, id } = taken;
        let settler = Settler { shared: Arc::clone(&self.shared), durable: self.durable.clone(), id };
        Delivery::new(message, delivered, id.sequence, settler)
    }
}

impl crate::Subscription for Subscription {
    /// Waits for delayed deliveries by tokio's timer. With a clock that doesn't move by itself, call
    /// [`wake`](super::Memory::wake) after moving it.
    async fn receive(&mut self, credits: usize) -> Result<Vec<Delivery>, Error> {
        loop {
            let shared = Arc::clone(&self.shared);
            // Registered before looking, so that nothing published in between is missed.
            let mut changed = std::pin::pin!(shared.changed.notified());
            changed.as_mut().enable();
            let deliveries = self.try_receive(credits)?;
            if !deliveries.is_empty() || credits == 0 {
                return Ok(deliveries);
            }
            match shared.wait_for(&self.durable) {
                Some(wait) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep(wait) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    async fn close(self) -> Result<(), Error> {
        // Nothing is kept here that wasn't returned.
        self.shared.take(&self.durable, 0).map(drop)
    }
}

struct Settler {
    shared: Arc<Shared>,
    durable: String,
    id: DeliveryId,
}

impl Settler {
    fn settle(&self, answer: Answer) -> Result<(), Error> {
        self.shared.settle(&self.durable, self.id, answer)
    }
}

type Settled<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

impl Settle for Settler {
    fn ack(self: Box<Self>) -> Settled<'static> {
        Box::pin(async move { self.settle(Answer::Done) })
    }

    fn retry_after(self: Box<Self>, delay: Duration) -> Settled<'static> {
        Box::pin(async move { self.settle(Answer::RetryAfter(delay)) })
    }

    fn reject(self: Box<Self>, reason: String) -> Settled<'static> {
        Box::pin(async move {
            tracing::debug!(durable = self.durable, sequence = self.id.sequence, reason, "rejected");
            self.settle(Answer::Done)
        })
    }

    fn in_progress(&self) -> Settled<'_> {
        Box::pin(async move { self.settle(Answer::InProgress) })
    }
}
