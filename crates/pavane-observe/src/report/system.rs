use std::collections::BTreeMap;

use pavane_contract::Timestamp;
use serde::{Deserialize, Serialize};

use super::State;

/// The whole system at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Overview {
    /// The time of this report.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub as_of: Timestamp,
    /// Whether everything that was in the streams at the start has been read.
    pub loaded: bool,
    /// Events read since the start.
    pub events: u64,
    /// The last sequence that was read.
    pub sequence: u64,
    /// Sagas by state.
    pub states: BTreeMap<State, u64>,
    /// Sagas in progress by the name of their last event.
    pub steps: BTreeMap<String, u64>,
    /// Failed sagas by the event that caused the outcome.
    pub failed_by: BTreeMap<String, u64>,
    /// Sagas that started in the last minute, per second.
    pub started_per_second: f64,
    /// Sagas that got their outcome in the last minute, per second.
    pub ended_per_second: f64,
    /// Dead letters without a decision.
    pub dead_letters: usize,
    /// Ended sagas that were dropped to stay within the memory limit.
    pub forgotten: u64,
    /// Sagas that were dropped before they ended.
    pub forgotten_open: u64,
    /// Messages of the events stream that are not events.
    pub unreadable: u64,
    /// Services that have a declaration.
    pub services: Vec<String>,
}

/// The choreography, live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Flow {
    /// The time of this report.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub as_of: Timestamp,
    /// Every event that was declared or seen.
    pub events: Vec<EventFlow>,
    /// Every declared reaction.
    pub reactions: Vec<ReactionFlow>,
    /// Durable consumers that belong to no declared reaction.
    pub foreign_consumers: Vec<String>,
}

/// The traffic of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct EventFlow {
    /// Its name.
    pub event: String,
    /// The version of its contract.
    pub version: u16,
    /// Whether a service declares it.
    pub declared: bool,
    /// How many were read since the start.
    pub total: u64,
    /// How many were stored in the last ten seconds, per second.
    pub per_second: f64,
}

/// The state of one reaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ReactionFlow {
    /// Its service.
    pub service: String,
    /// Its name.
    pub reaction: String,
    /// Whether it is an undo.
    pub undo: bool,
    /// Whether it calls something outside its database.
    pub effect: bool,
    /// Whether it runs once for each item of the saga, or undoes a step that does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub each: bool,
    /// The events that it runs on.
    pub on: Vec<String>,
    /// Those of them that it waits for of every item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub every: Vec<String>,
    /// The events that it may emit.
    pub emits: Vec<String>,
    /// Its durable consumer.
    pub durable: String,
    /// Its consumer's state; `None` when it doesn't exist, or wasn't read yet.
    pub consumer: Option<ConsumerFlow>,
    /// Dead letters without a decision.
    pub dead_letters: u64,
    /// Sagas that wait for it.
    pub waiting: u64,
    /// Sagas that have waited for it for longer than its `stuck_after`.
    pub overdue: u64,
    /// Its `stuck_after`.
    pub stuck_after_ms: u64,
}

/// The state of a reaction's consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ConsumerFlow {
    /// Events that were not delivered to it yet: the lag.
    pub pending: u64,
    /// Events that were delivered and are not settled.
    pub in_flight: u64,
    /// How many of these were delivered more than once.
    pub redelivered: u64,
    /// Whether a client takes events.
    pub attended: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// When it last settled an event.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub active: Option<Timestamp>,
}

/// Numbers for a metrics system: gauges by state, counters that only grow, and how long sagas took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Sagas that are known, by state.
    pub sagas: BTreeMap<State, u64>,
    /// Sagas that were completed since the oldest event of the stream.
    pub completed_total: u64,
    /// Sagas that were compensated since then.
    pub compensated_total: u64,
    /// How long the completed ones took from the first event to the outcome.
    pub completed_seconds: Histogram,
    /// How long the compensated ones took from the first event to the last undo.
    pub compensated_seconds: Histogram,
    /// Overdue waits by service, reaction and awaited events.
    pub stuck: BTreeMap<(String, String, String), u64>,
    /// Events of the stream that were not read yet.
    pub behind: u64,
}

/// A histogram in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Histogram {
    /// Upper bounds in seconds, with the number of values up to there.
    pub buckets: Vec<(f64, u64)>,
    /// All values.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
}
