//! What the shipping service says: a parcel on its way, or not.

use pavane_contract::{Event, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::OrderId;

/// A carrier took the parcel on. Its tracking number stays with the shipping service: whoever has it is shown the address. Undone by [`ShipmentCancelled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentCreated {
    /// Which order.
    pub order_id: OrderId,
}

impl Event for ShipmentCreated {
    const NAME: &'static str = "shipping.created";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}

/// No carrier delivers this parcel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentRejected {
    /// Which order.
    pub order_id: OrderId,
}

impl Event for ShipmentRejected {
    const NAME: &'static str = "shipping.rejected";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}

/// The parcel will not go out. Undoes [`ShipmentCreated`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShipmentCancelled {
    /// Which order.
    pub order_id: OrderId,
}

impl Event for ShipmentCancelled {
    const NAME: &'static str = "shipping.cancelled";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.order_id.into()
    }
}
