//! The shipping service's events: a parcel on its way, or not.

use pavane_contract::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::OrderId;

/// A carrier took the parcel on. Its tracking number stays with the shipping service: a carrier's page shows the address for it. Undone by [`ShipmentCancelled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "shipping.created", version = 1, key = order_id)]
pub struct ShipmentCreated {
    /// Which order.
    pub order_id: OrderId,
}

/// No carrier delivers this parcel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "shipping.rejected", version = 1, key = order_id)]
pub struct ShipmentRejected {
    /// Which order.
    pub order_id: OrderId,
}

/// The parcel will not go out. Undoes [`ShipmentCreated`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "shipping.cancelled", version = 1, key = order_id)]
pub struct ShipmentCancelled {
    /// Which order.
    pub order_id: OrderId,
}
