//! Personal data: which fields of an event are personal, and a body without them.
//!
//! A contract says so where the field is, and the event's JSON Schema carries it as the keyword [`KEYWORD`]:
//! `#[schemars(extend("x-personal" = true))]` on a field, or on a type, of which every field is personal then. What a schema
//! doesn't know, nobody has said to be harmless: only declared fields are [shown](Fields::redact).
//!
//! ```
//! use pavane_contract::personal::Fields;
//! use schemars::JsonSchema;
//! use serde_json::json;
//!
//! # #[expect(dead_code, reason = "only the schema is of interest")]
//! #[derive(JsonSchema)]
//! struct OrderPlaced {
//!     order_id: String,
//!     #[schemars(extend("x-personal" = true))]
//!     email: String,
//! }
//!
//! let fields = Fields::of_schema(&schemars::schema_for!(OrderPlaced).into());
//! let shown = fields.redact(&json!({ "order_id": "7", "email": "ada@example.org" }));
//! assert_eq!(shown, json!({ "order_id": "7", "email": "(personal)" }));
//! ```

mod redact;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Event, EventRef, schema};

/// The keyword of a JSON Schema that says that a value is personal.
pub const KEYWORD: &str = "x-personal";
/// What is shown in the place of a personal value, whatever its type.
pub const PERSONAL: &str = "(personal)";
/// What is shown in the place of a value that the contract doesn't know.
pub const UNDECLARED: &str = "(undeclared)";

/// The fields of an event that are personal, and those that may be shown: JSON pointers (RFC 6901) in which `*` stands for
/// any element or member, and `**`, at the end, for everything below.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fields {
    /// Personal, with all that is below.
    #[serde(default)]
    pub personal: BTreeSet<String>,
    /// Single values that may be shown.
    #[serde(default)]
    pub open: BTreeSet<String>,
}

impl Fields {
    /// The fields of an event, as its schema tells.
    pub fn of<E: Event>() -> Self {
        Self::of_schema(&schema::of::<E>())
    }

    /// The fields that a JSON Schema declares.
    pub fn of_schema(schema: &Value) -> Self {
        scan::fields(schema)
    }
}

/// The fields of one version of one event, as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventFields {
    /// Which event.
    #[serde(flatten)]
    pub event: EventRef,
    /// Its fields.
    #[serde(flatten)]
    pub fields: Fields,
}

impl EventFields {
    /// The fields of `E`.
    pub fn of<E: Event>() -> Self {
        Self { event: EventRef::of::<E>(), fields: Fields::of::<E>() }
    }
}
