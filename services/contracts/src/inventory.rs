//! What the inventory service says: stock held for an order, or not.

use pavane_contract::{Event, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Address, OrderId, Sku};

/// Everything ordered is held for the order. Undone by [`StockReleased`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StockReserved {
    /// Which order.
    pub order_id: OrderId,
    /// Where it goes, for whoever ships it.
    pub ship_to: Address,
}

impl Event for StockReserved {
    const NAME: &'static str = "inventory.reserved";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}

/// There is not enough of something; nothing is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StockRejected {
    /// Which order.
    pub order_id: OrderId,
    /// The first thing that there is not enough of.
    pub sku: Sku,
}

impl Event for StockRejected {
    const NAME: &'static str = "inventory.rejected";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}

/// What was held for the order is for sale again. Undoes [`StockReserved`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StockReleased {
    /// Which order.
    pub order_id: OrderId,
}

impl Event for StockReleased {
    const NAME: &'static str = "inventory.released";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}
