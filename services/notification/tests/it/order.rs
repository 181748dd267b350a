use contracts::{
    Money, OrderId,
    order::{CancelReason, OrderCancelled, OrderConfirmed},
};
use pavane::{Envelope, Event, SagaId};
use pavane_bus::Outgoing;
use pavane_contract::{Cause, Clock, EventId, EventRef, Meta, SystemClock, codec, subject};
use uuid::Uuid;

pub(crate) const EMAIL: &str = "ada@example.org";

/// One order, and what the order service says of its end.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    saga: SagaId,
}

impl Order {
    pub(crate) fn new() -> Self {
        let id = u128::from(SystemClock.random()) << 64 | u128::from(SystemClock.random());
        Self { id: Uuid::from_u128(id).into(), saga: SagaId::new(&SystemClock) }
    }

    pub(crate) fn confirmed(&self) -> Outgoing {
        self.confirmed_to(EMAIL)
    }

    pub(crate) fn confirmed_to(&self, email: &str) -> Outgoing {
        self.event(&OrderConfirmed { order_id: self.id, email: email.to_owned(), total: total() })
    }

    pub(crate) fn cancelled(&self, reason: CancelReason) -> Outgoing {
        self.event(&OrderCancelled { order_id: self.id, email: EMAIL.to_owned(), total: total(), reason })
    }

    /// An event of another service, as its relay publishes it.
    fn event<E: Event>(&self, body: &E) -> Outgoing {
        let event = EventRef::of::<E>();
        let meta = Meta {
            id: EventId::new(&SystemClock),
            source: event.owner().to_owned(),
            key: body.key(),
            time: "2026-01-02T03:04:05Z".parse().expect("a time"),
            cause: Cause::new(self.saga, SystemClock.now()),
            event,
        };
        let envelope = Envelope { meta: meta.into(), body }.into_raw().expect("a body in JSON");
        Outgoing {
            subject: subject::of(&envelope.meta.event, &envelope.meta.key),
            headers: codec::encode(&envelope),
            payload: envelope.body,
            message_id: envelope.meta.id.to_string(),
        }
    }
}

fn total() -> Money {
    Money { minor: 4200, currency: "EUR".parse().expect("a currency") }
}

/// The same event once more, past the stream's own duplicate window.
pub(crate) fn again(event: &Outgoing) -> Outgoing {
    Outgoing { message_id: format!("{}-again", event.message_id), ..event.clone() }
}
