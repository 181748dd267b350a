//! What the payment service says: money promised, collected, given back.

use pavane_contract::{Event, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Money, OrderDetails, OrderId};

/// The amount is set aside on the customer's card; nothing is charged yet. Undone by [`PaymentVoided`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentAuthorized {
    /// Which order.
    pub order_id: OrderId,
    /// How much is set aside.
    pub amount: Money,
    /// The order, for whoever comes next.
    pub details: OrderDetails,
}

impl Event for PaymentAuthorized {
    const NAME: &'static str = "payment.authorized";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}

/// The payment provider refused the card. What it said stays with the payment service: it may say anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentDeclined {
    /// Which order.
    pub order_id: OrderId,
}

impl Event for PaymentDeclined {
    const NAME: &'static str = "payment.declined";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}

/// The amount is charged: the point after which only a refund helps. Undone by [`PaymentRefunded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentCaptured {
    /// Which order.
    pub order_id: OrderId,
    /// How much was charged.
    pub amount: Money,
}

impl Event for PaymentCaptured {
    const NAME: &'static str = "payment.captured";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}

/// The authorised amount could not be charged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentCaptureFailed {
    /// Which order.
    pub order_id: OrderId,
}

impl Event for PaymentCaptureFailed {
    const NAME: &'static str = "payment.capture-failed";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}

/// The authorised amount is free again. Undoes [`PaymentAuthorized`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentVoided {
    /// Which order.
    pub order_id: OrderId,
    /// How much was set free.
    pub amount: Money,
}

impl Event for PaymentVoided {
    const NAME: &'static str = "payment.voided";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}

/// The charged amount was given back. Undoes [`PaymentCaptured`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRefunded {
    /// Which order.
    pub order_id: OrderId,
    /// How much was given back.
    pub amount: Money,
}

impl Event for PaymentRefunded {
    const NAME: &'static str = "payment.refunded";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}
