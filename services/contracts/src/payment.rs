//! The payment service's events: an amount authorised, captured, refunded.

use pavane_contract::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Money, OrderDetails, OrderId};

/// The amount is set aside on the customer's card; nothing is charged yet. Undone by [`PaymentVoided`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "payment.authorized", version = 1, key = order_id)]
pub struct PaymentAuthorized {
    /// Which order.
    pub order_id: OrderId,
    /// How much is set aside.
    pub amount: Money,
    /// The order: the next steps need it.
    pub details: OrderDetails,
}

/// The payment provider refused the card. What it said stays with the payment service: it may say anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "payment.declined", version = 1, key = order_id)]
pub struct PaymentDeclined {
    /// Which order.
    pub order_id: OrderId,
}

/// The amount is charged: the point after which only a refund helps. Undone by [`PaymentRefunded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "payment.captured", version = 1, key = order_id)]
pub struct PaymentCaptured {
    /// Which order.
    pub order_id: OrderId,
    /// How much was charged.
    pub amount: Money,
}

/// The authorised amount could not be charged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "payment.capture-failed", version = 1, key = order_id)]
pub struct PaymentCaptureFailed {
    /// Which order.
    pub order_id: OrderId,
}

/// The authorised amount is free again. Undoes [`PaymentAuthorized`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "payment.voided", version = 1, key = order_id)]
pub struct PaymentVoided {
    /// Which order.
    pub order_id: OrderId,
    /// How much was set free.
    pub amount: Money,
}

/// The charged amount was refunded. Undoes [`PaymentCaptured`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "payment.refunded", version = 1, key = order_id)]
pub struct PaymentRefunded {
    /// Which order.
    pub order_id: OrderId,
    /// How much was refunded.
    pub amount: Money,
}
