use contracts::{
    Address, Line, Money, OrderDetails, OrderId,
    order::{CancelReason, OrderCancelled, OrderConfirmed},
    payment::PaymentAuthorized,
};
use pavane::SagaId;
use pavane_contract::SystemClock;

/// An order as the others see it, and what they say of it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) saga: SagaId,
    pub(crate) id: OrderId,
    details: OrderDetails,
}

impl Order {
    /// An order of `(sku, quantity)` lines.
    pub(crate) fn of(lines: &[(&str, u32)]) -> Self {
        let saga = SagaId::new(&SystemClock);
        let line = |&(sku, quantity): &(&str, u32)| Line { sku: sku.into(), quantity, unit_price: euros(500) };
        let text = str::to_owned;
        let ship_to = Address {
            name: text("Ada"),
            street: text("Hauptstraße 1"),
            city: text("Berlin"),
            postal_code: text("10115"),
            country: text("DE"),
        };
        let details = OrderDetails { lines: lines.iter().map(line).collect(), ship_to };
        Self { saga, id: saga.as_uuid().into(), details }
    }

    pub(crate) fn authorized(&self) -> PaymentAuthorized {
        PaymentAuthorized { order_id: self.id, amount: euros(500), details: self.details.clone() }
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
