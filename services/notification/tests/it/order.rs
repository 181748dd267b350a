use std::sync::Arc;

use contracts::{
    Money, OrderId,
    order::{CancelReason, OrderCancelled, OrderConfirmed},
};
use pavane::{Event, SagaId};
use pavane_contract::{RawEnvelope, SystemClock};
use pavane_testkit::envelope;

pub(crate) const EMAIL: &str = "ada@example.org";

/// One order, and what the order service says of its end.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    saga: SagaId,
}

impl Order {
    pub(crate) fn new() -> Self {
        let saga = SagaId::new(&SystemClock);
        Self { id: saga.as_uuid().into(), saga }
    }

    pub(crate) fn confirmed(&self) -> RawEnvelope {
        self.says(&self.order_confirmed(EMAIL))
    }

    pub(crate) fn confirmed_to(&self, email: &str) -> RawEnvelope {
        self.says(&self.order_confirmed(email))
    }

    pub(crate) fn order_confirmed(&self, email: &str) -> OrderConfirmed {
        OrderConfirmed { order_id: self.id, email: email.to_owned(), total: total() }
    }

    pub(crate) fn cancelled(&self, reason: CancelReason) -> RawEnvelope {
        self.says(&self.order_cancelled(reason))
    }

    pub(crate) fn order_cancelled(&self, reason: CancelReason) -> OrderCancelled {
        OrderCancelled { order_id: self.id, email: EMAIL.to_owned(), total: total(), reason }
    }

    /// At a time that the mail must show.
    fn says<E: Event>(&self, event: &E) -> RawEnvelope {
        let mut event = envelope(self.saga, event);
        Arc::make_mut(&mut event.meta).time = "2026-01-02T03:04:05Z".parse().expect("a time");
        event
    }
}

fn total() -> Money {
    Money { minor: 4200, currency: "EUR".parse().expect("a currency") }
}
