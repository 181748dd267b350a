use pavane_contract::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Items;

/// Something that a saga waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Outstanding {
    /// The service that is awaited. Empty when the saga as a whole takes too long.
    pub service: String,
    /// Its reaction.
    pub reaction: String,
    /// The event that it has to react to.
    pub on: String,
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Uuid))]
    pub on_id: Option<EventId>,
    /// The events of which one is awaited; empty when the reaction only has to handle `on`.
    pub awaits: Vec<String>,
    /// Whether it is an undo.
    pub undo: bool,
    /// Since when, by the broker's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub since: Timestamp,
    /// How long it has waited.
    pub waited_ms: u64,
    /// How long it may wait.
    pub stuck_after_ms: u64,
    /// Whether it has waited too long, or will never end.
    pub overdue: bool,
    /// The dead letter because of which the wait will not end by itself.
    pub dead_letter: Option<u64>,
    /// Of a join that lacks events: how many it has. Then `awaits` names those that it lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gathered: Option<Gathered>,
    /// The items for which it is awaited, or those that a list lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Items>,
    /// All of this in a sentence.
    pub sentence: String,
}

/// How far a join is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Gathered {
    /// The parts of which there is an event; a part that has every item counts each.
    pub events: usize,
    /// All parts. One that has every item counts as one until the first has come.
    pub of: usize,
}
