//! What only the compiler knows: types.

use pavane_contract::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.placed", key = total)]
struct KeyIsNoKey {
    total: Money,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Money(i64);

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.placed", key = order.id)]
struct NoFieldOfField {
    order: Order,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Order {
    number: u32,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.placed", key = id)]
struct NotClone {
    id: u32,
}

fn main() {}
