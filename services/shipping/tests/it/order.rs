use contracts::{
    Address, Money, OrderId,
    inventory::StockReserved,
    order::{CancelReason, OrderCancelled, OrderConfirmed},
};
use pavane::SagaId;
use pavane_contract::SystemClock;

/// An order as the others see it, and what they say of it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) saga: SagaId,
    pub(crate) id: OrderId,
    ship_to: Address,
}

impl Order {
    /// An order to a country.
    pub(crate) fn to(country: &str) -> Self {
        let saga = SagaId::new(&SystemClock);
        let text = str::to_owned;
        let ship_to = Address {
            name: text("Ada"),
            street: text("Hauptstraße 1"),
            city: text("Berlin"),
            postal_code: text("10115"),
            country: text(country),
        };
        Self { saga, id: saga.as_uuid().into(), ship_to }
    }

    pub(crate) fn reserved(&self) -> StockReserved {
        StockReserved { order_id: self.id, ship_to: self.ship_to.clone() }
    }

    pub(crate) fn confirmed(&self) -> OrderConfirmed {
        OrderConfirmed { order_id: self.id, email: "ada@example.org".to_owned(), total: euros(500) }
    }

    pub(crate) fn cancelled(&self) -> OrderCancelled {
        let (email, reason) = ("ada@example.org".to_owned(), CancelReason::CustomerRequest);
        OrderCancelled { order_id: self.id, email, total: euros(500), reason }
    }
}

fn euros(minor: i64) -> Money {
    Money { minor, currency: "EUR".parse().unwrap() }
}
