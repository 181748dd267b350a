use contracts::{
    Address, Line, Money, OrderDetails, OrderId,
    order::{CancelReason, OrderCancelled, OrderPlaced},
    shipping::ShipmentCreated,
};
use pavane::SagaId;
use pavane_contract::{RawEnvelope, SystemClock};
use pavane_testkit::envelope;

pub(crate) const TOTAL: i64 = 4200;

/// One order, and the events that other services say of it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) saga: SagaId,
    pub(crate) id: OrderId,
}

impl Order {
    pub(crate) fn new() -> Self {
        let saga = SagaId::new(&SystemClock);
        Self { saga, id: saga.as_uuid().into() }
    }

    pub(crate) fn placed(&self, card: &str) -> RawEnvelope {
        self.placed_for(card, TOTAL)
    }

    pub(crate) fn placed_for(&self, card: &str, minor: i64) -> RawEnvelope {
        envelope(self.saga, &self.order_placed(card, minor))
    }

    pub(crate) fn order_placed(&self, card: &str, minor: i64) -> OrderPlaced {
        let ship_to = Address {
            name: "Ada".into(),
            street: "Main Street 1".into(),
            city: "Berlin".into(),
            postal_code: "10115".into(),
            country: "DE".into(),
        };
        let line = Line { sku: "tea".into(), quantity: 1, unit_price: euros(minor) };
        let details = OrderDetails { lines: vec![line], ship_to };
        OrderPlaced { order_id: self.id, details, total: euros(minor), card: card.into() }
    }

    pub(crate) fn shipped(&self) -> RawEnvelope {
        envelope(self.saga, &self.shipment_created())
    }

    pub(crate) const fn shipment_created(&self) -> ShipmentCreated {
        ShipmentCreated { order_id: self.id }
    }

    pub(crate) fn cancelled(&self) -> RawEnvelope {
        envelope(self.saga, &self.order_cancelled())
    }

    pub(crate) fn order_cancelled(&self) -> OrderCancelled {
        let (email, reason) = ("ada@example.com".into(), CancelReason::CustomerRequest);
        OrderCancelled { order_id: self.id, email, total: euros(TOTAL), reason }
    }
}

fn euros(minor: i64) -> Money {
    Money { minor, currency: "EUR".parse().expect("a currency") }
}
