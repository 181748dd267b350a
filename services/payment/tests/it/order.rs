use contracts::{
    Address, Line, Money, OrderDetails, OrderId,
    order::{CancelReason, OrderCancelled, OrderPlaced},
    shipping::ShipmentCreated,
};
use pavane::{Envelope, Event, SagaId};
use pavane_bus::Outgoing;
use pavane_contract::{Cause, Clock, EventId, EventRef, Meta, SystemClock, codec, subject};
use uuid::Uuid;

pub(crate) const TOTAL: i64 = 4200;

/// One order, and the events that other services say of it.
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

    pub(crate) fn placed(&self, card: &str) -> Outgoing {
        self.placed_for(card, TOTAL)
    }

    pub(crate) fn placed_for(&self, card: &str, minor: i64) -> Outgoing {
        let total = Money { minor, currency: "EUR".parse().expect("a currency") };
        let ship_to = Address {
            name: "Ada".into(),
            street: "Main Street 1".into(),
            city: "Berlin".into(),
            postal_code: "10115".into(),
            country: "DE".into(),
        };
        let line = Line { sku: "tea".into(), quantity: 1, unit_price: total.clone() };
        let details = OrderDetails { lines: vec![line], ship_to };
        self.event(&OrderPlaced { order_id: self.id, details, total, card: card.into() })
    }

    pub(crate) fn shipped(&self) -> Outgoing {
        self.event(&ShipmentCreated { order_id: self.id })
    }

    pub(crate) fn cancelled(&self) -> Outgoing {
        self.event(&OrderCancelled {
            order_id: self.id,
            email: "ada@example.com".into(),
            total: Money { minor: TOTAL, currency: "EUR".parse().expect("a currency") },
            reason: CancelReason::CustomerRequest,
        })
    }

    /// An event of another service, as its relay publishes it.
    fn event<E: Event>(&self, body: &E) -> Outgoing {
        let event = EventRef::of::<E>();
        let meta = Meta {
            id: EventId::new(&SystemClock),
            source: event.owner().to_owned(),
            key: body.key(),
            time: SystemClock.now(),
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

/// The same event once more, past the stream's own duplicate window.
pub(crate) fn again(event: &Outgoing) -> Outgoing {
    Outgoing { message_id: format!("{}-again", event.message_id), ..event.clone() }
}
