//! JSON Schemas of contracts, and the check that tells a breaking change from an additive one.
//!
//! Two versions of a schema are compared twice with one rule, *does the reader accept whatever the writer writes?*:
//! today's events with yesterday's readers, and yesterday's events (still in the stream, in a dead letter, in an outbox)
//! with today's readers. Writers write only the fields that they declare, and readers ignore fields that they don't know
//! unless their schema forbids them: the way serde's derives behave.
//!
//! The check errs on the side of a break: of two constraints that it can't compare (patterns, formats, `not`), only an
//! equal one is accepted, and `#[serde(alias)]` is invisible to it because schemas don't mention it.

mod alternatives;
mod fit;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use alternatives::{is_annotation, resolve};

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::Event;

/// The JSON Schema of an event's body, draft 2020-12.
pub fn of<E: Event>() -> Value {
    schemars::schema_for!(E).into()
}

/// Lists the differences between two versions of a schema that break somebody. None for an additive change.
///
/// # Examples
///
/// ```
/// use pavane_contract::schema::{Direction, breaks};
/// use serde_json::json;
///
/// let old = json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
///
/// let mut new = old.clone();
/// new["properties"]["note"] = json!({ "type": ["string", "null"] });
/// assert!(breaks(&old, &new).is_empty(), "an optional field is an additive change");
///
/// new["required"] = json!(["name", "note"]);
/// let [added] = &breaks(&old, &new)[..] else { panic!("a required field breaks one reader") };
/// assert_eq!((added.direction, &*added.path), (Direction::NewReader, "$.note"));
/// ```
pub fn breaks(old: &Value, new: &Value) -> Vec<Break> {
    [(Direction::OldReader, new, old), (Direction::NewReader, old, new)]
        .into_iter()
        .flat_map(|(direction, writer, reader)| {
            fit::misfits(writer, reader).into_iter().map(move |misfit| Break {
                direction,
                path: misfit.path,
                what: misfit.what,
            })
        })
        .collect()
}

/// A difference between two versions of a schema with which somebody fails to read an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Break {
    /// Who fails.
    pub direction: Direction,
    /// Where in the event, as a JSON path (RFC 9535): `$.lines[*].quantity`.
    pub path: String,
    /// What the writer writes there that the reader refuses.
    pub what: String,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.direction, self.path, self.what)
    }
}

/// Who can't read whose events.
#[expect(clippy::exhaustive_enums, reason = "there is no third direction")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// A service that still has the old contract can't read new events: deploying the writer breaks it.
    OldReader,
    /// A service with the new contract can't read old events, which wait in the stream, in outboxes and dead letters.
    NewReader,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OldReader => "an old reader can't read new events",
            Self::NewReader => "a new reader can't read old events",
        })
    }
}
