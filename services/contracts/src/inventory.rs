//! The inventory service's events: stock held for an order, or not.

use pavane_contract::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Address, OrderId, Sku};

/// Everything ordered is held for the order. Undone by [`StockReleased`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "inventory.reserved", version = 1, key = order_id)]
pub struct StockReserved {
    /// Which order.
    pub order_id: OrderId,
    /// Where it goes: shipping needs it.
    pub ship_to: Address,
}

/// There is not enough of something; nothing is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "inventory.rejected", version = 1, key = order_id)]
pub struct StockRejected {
    /// Which order.
    pub order_id: OrderId,
    /// The first thing that there is not enough of.
    pub sku: Sku,
}

/// What was held for the order is for sale again. Undoes [`StockReserved`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "inventory.released", version = 1, key = order_id)]
pub struct StockReleased {
    /// Which order.
    pub order_id: OrderId,
}
