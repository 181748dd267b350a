//! The order service's events: how an order begins and ends.

use pavane_contract::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Money, OrderDetails, OrderId};

/// A customer placed an order. Starts the saga.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.placed", version = 1, key = order_id)]
pub struct OrderPlaced {
    /// Which order.
    pub order_id: OrderId,
    /// What is ordered, and where it goes.
    pub details: OrderDetails,
    /// What the customer is to pay.
    pub total: Money,
    /// The payment method's token, as the payment provider knows it; never a card number.
    #[schemars(extend("x-personal" = true))]
    pub card: String,
}

/// An order's deadline has passed. Scheduled for every order when it is placed, to be published at its deadline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.deadline-passed", version = 1, key = order_id)]
pub struct OrderDeadlinePassed {
    /// Which order.
    pub order_id: OrderId,
}

/// Everything worked: the order is paid and on its way. Excludes [`OrderCancelled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.confirmed", version = 1, key = order_id)]
pub struct OrderConfirmed {
    /// Which order.
    pub order_id: OrderId,
    /// Where to write to the customer.
    #[schemars(extend("x-personal" = true))]
    pub email: String,
    /// What the customer paid.
    pub total: Money,
}

/// The order will not be fulfilled, and whatever was done for it is undone. Excludes [`OrderConfirmed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.cancelled", version = 1, key = order_id)]
pub struct OrderCancelled {
    /// Which order.
    pub order_id: OrderId,
    /// Where to write to the customer.
    #[schemars(extend("x-personal" = true))]
    pub email: String,
    /// What the customer would have paid.
    pub total: Money,
    /// Why.
    pub reason: CancelReason,
}

/// Why an order was cancelled.
///
/// A further reason is a breaking change, as a reader of today can't read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CancelReason {
    /// The payment provider refused the card.
    PaymentDeclined,
    /// There was not enough of something.
    OutOfStock,
    /// No carrier delivers to the address.
    NoCarrier,
    /// The authorised amount could not be collected.
    CaptureFailed,
    /// The customer asked for it.
    CustomerRequest,
    /// It took too long.
    DeadlinePassed,
}
