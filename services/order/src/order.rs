//! An order as the service keeps it.

use contracts::{
    Line, Money, OrderId,
    order::{CancelReason, OrderCancelled, OrderConfirmed, OrderPlaced},
};
use pavane::{SagaId, Timestamp};

use crate::{
    domain::{Fact, Facts, Status},
    placement::Placement,
};

/// What the events of an order's end say of it. It never changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) order_id: OrderId,
    pub(crate) email: String,
    pub(crate) total: Money,
}

impl Header {
    pub(crate) fn confirmed(self) -> OrderConfirmed {
        OrderConfirmed { order_id: self.order_id, email: self.email, total: self.total }
    }

    pub(crate) fn cancelled(self, reason: CancelReason) -> OrderCancelled {
        OrderCancelled { order_id: self.order_id, email: self.email, total: self.total, reason }
    }
}

/// A fact about an order, and when this service learnt it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Entry {
    /// Counts the facts of the order, from 1.
    pub(crate) version: i64,
    pub(crate) fact: Fact,
    pub(crate) at: Timestamp,
}

/// An order at a glance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    pub(crate) id: OrderId,
    pub(crate) status: Status,
    pub(crate) version: i64,
    pub(crate) total: Money,
    pub(crate) cancel_reason: Option<CancelReason>,
    pub(crate) placed_at: Timestamp,
    pub(crate) deadline_at: Timestamp,
}

/// An order with all that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) summary: Summary,
    pub(crate) lines: Vec<Line>,
    /// In the order in which the facts were learnt; at least that it was placed.
    pub(crate) history: Vec<Entry>,
}

impl Order {
    /// An order that has just been placed.
    pub(crate) fn placed(id: OrderId, placement: &Placement, at: Timestamp) -> Self {
        // As exact as it is stored, so that the answer to the request is what is read later.
        let at = Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at);
        let summary = Summary {
            id,
            status: Facts::default().with(Fact::Placed).status(),
            version: 1,
            total: placement.total.clone(),
            cancel_reason: None,
            placed_at: at,
            // Too far to be represented is as good as never.
            deadline_at: at.checked_add(placement.deadline).unwrap_or(Timestamp::MAX),
        };
        let history = vec![Entry { version: 1, fact: Fact::Placed, at }];
        Self { summary, lines: placement.details.lines.clone(), history }
    }

    /// Whether it is known how the order ends.
    pub(crate) fn is_decided(&self) -> bool {
        self.history.iter().any(|entry| matches!(entry.fact, Fact::Confirmed | Fact::Cancelled))
    }
}

impl Placement {
    pub(crate) fn event(self, order_id: OrderId) -> OrderPlaced {
        OrderPlaced { order_id, details: self.details, total: self.total, card: self.card }
    }
}

/// The saga of an order has the order's id.
pub(crate) fn saga_of(order: OrderId) -> SagaId {
    order.as_uuid().into()
}

/// The order of a saga.
pub(crate) fn order_of(saga: SagaId) -> OrderId {
    saga.as_uuid().into()
}
