//! Personal data: which fields of an event are personal, and a body without them.
//!
//! A contract declares them where the field is, and the event's JSON Schema has them as the keyword [`KEYWORD`]:
//! `#[schemars(extend("x-personal" = true))]` on a field, or on a type, all of whose fields are then personal. A value that the
//! schema doesn't know may be personal, too: only declared fields are [shown](Fields::redact).
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

/// The keyword of a JSON Schema that marks a value as personal.
pub const KEYWORD: &str = "x-personal";
/// Shown in place of a personal value, whatever its type.
pub const PERSONAL: &str = "(personal)";
/// Shown in place of a value that the contract doesn't declare.
pub const UNDECLARED: &str = "(undeclared)";

/// The fields of an event that are personal, and those that may be shown: JSON pointers (RFC 6901) in which `*` stands for
/// any element or member, and `**`, at the end, for everything below.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fields {
    /// Personal values, with everything below them.
    #[serde(default)]
    pub personal: BTreeSet<String>,
    /// Single values that may be shown.
    #[serde(default)]
    pub open: BTreeSet<String>,
}

impl Fields {
    /// The fields of an event, from its schema.
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
