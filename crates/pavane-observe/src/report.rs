//! Reports about sagas, reactions and dead letters: plain data, to be shown, exported or written as JSON.
//!
//! Times are the broker's, except where a field says otherwise; durations are in milliseconds, as the names say.

mod item;
mod letter;
mod system;
mod wait;

use pavane_contract::{EventId, SagaId, Timestamp};
use serde::{Deserialize, Serialize};

pub use item::{Item, ItemState, ItemStep, Items};
pub use letter::{Action, DeadLetter, DeadLetterGroup, Decision, LetterFate};
pub use system::{ConsumerFlow, EventFlow, Flow, Histogram, Metrics, Overview, ReactionFlow};
pub use wait::{Gathered, Outstanding};

/// The state of a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// In progress.
    InProgress,
    /// It succeeded.
    Completed,
    /// It failed, and not everything is undone yet.
    Compensating,
    /// It failed, and everything is undone.
    Compensated,
    /// Something that it waits for is overdue, or will never come.
    Stuck,
    /// Something that must be undone could not be: a person has to decide.
    NeedsReview,
    /// A person decided that nothing more has to happen.
    Resolved,
}

impl State {
    /// Every state, in the order of a saga's life.
    pub const ALL: [Self; 7] = [
        Self::InProgress,
        Self::Completed,
        Self::Compensating,
        Self::Compensated,
        Self::Stuck,
        Self::NeedsReview,
        Self::Resolved,
    ];

    /// The state's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Compensating => "compensating",
            Self::Compensated => "compensated",
            Self::Stuck => "stuck",
            Self::NeedsReview => "needs-review",
            Self::Resolved => "resolved",
        }
    }
}

/// A saga on one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct SagaSummary {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub saga: SagaId,
    /// The declared saga that it is, by its first event; `None` when none is declared.
    pub name: Option<String>,
    /// The key of its first event: the order's number.
    pub key: String,
    /// Its state.
    pub state: State,
    /// The name of its last event.
    pub step: String,
    /// What it waits for and from whom, in a sentence; overdue waits first. `None` when it waits for nothing.
    pub waits_for: Option<String>,
    /// The services that it waits for.
    pub waits_on: Vec<String>,
    /// When its first event was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub started_at: Timestamp,
    /// When its last event was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_at: Timestamp,
    /// From its first event to its end, or until now.
    pub age_ms: u64,
    /// How many events it has.
    pub events: usize,
    /// Dead letters without a decision.
    pub dead_letters: usize,
}

/// A saga with everything that is known about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct SagaReport {
    /// Its summary.
    pub summary: SagaSummary,
    /// The time of this report.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub as_of: Timestamp,
    /// How long it may take; `None` when that isn't declared.
    pub within_ms: Option<u64>,
    /// Its outcome; `None` while it has none.
    pub outcome: Option<String>,
    /// When it ended: the outcome of a success, the last undo of a failure.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
    /// Its events, in the stream's order.
    pub timeline: Vec<TimelineEvent>,
    /// Events that exceed the limit for one saga, and are not in the timeline.
    pub events_dropped: u64,
    /// What it waits for; overdue waits first.
    pub outstanding: Vec<Outstanding>,
    /// What a person is asked.
    pub questions: Vec<Question>,
    /// The steps that were done, and whether each was undone.
    pub effects: Vec<Effect>,
    /// How far its items are, for each reaction that runs once for each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemStep>,
    /// Its dead letters, with and without a decision.
    pub dead_letters: Vec<DeadLetter>,
    /// What people decided about it.
    pub decisions: Vec<Decision>,
    /// What happened without being declared.
    pub deviations: Vec<Deviation>,
}

/// One event of a saga.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct TimelineEvent {
    /// Its sequence in the events stream; its body can be read there.
    pub sequence: u64,
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: EventId,
    /// Its name.
    pub event: String,
    /// The version of its contract.
    pub version: u16,
    /// The service that emitted it.
    pub source: String,
    /// The reaction or entry point that emitted it, if the declarations show it.
    pub emitted_by: Option<String>,
    /// The event that caused it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Uuid))]
    pub caused_by: Option<EventId>,
    /// When it was emitted, by its service's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub emitted_at: Timestamp,
    /// When the broker stored it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub stored_at: Timestamp,
    /// How long the step took, from the storing of its cause to its own. `None` without a known cause.
    pub took_ms: Option<u64>,
    /// Its role in the saga.
    pub role: EventRole,
    /// Which of the saga's items it is about; `None` for what is about the saga as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Item>,
    /// How often it was stored again: published twice, or redriven.
    pub copies: u16,
    /// The reactions that it was redriven to.
    pub redriven_to: Vec<String>,
}

/// The role of an event in its saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventRole {
    /// It starts the saga.
    Start,
    /// A step that can be undone was done.
    Step,
    /// A step was undone.
    Undo,
    /// The outcome of a success.
    Completes,
    /// The outcome of a failure.
    Aborts,
    /// Anything else.
    Other,
}

/// A question that a person may answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Question {
    /// The saga that asks.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub saga: SagaId,
    /// The saga's key.
    pub key: String,
    /// The declared saga that it is; `None` when none is declared.
    pub name: Option<String>,
    /// The service that takes the answer.
    pub service: String,
    /// Its entry point.
    pub entry: String,
    /// The event that asks.
    pub event: String,
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub event_id: EventId,
    /// Its sequence in the events stream; its body can be read there.
    pub sequence: u64,
    /// When it was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub asked_at: Timestamp,
    /// How long ago that is.
    pub age_ms: u64,
    /// The events of which one is awaited.
    pub answers: Vec<String>,
    /// The event that ends the wait. When it comes is known in the service's database only. `None`: the saga's outcome ends it.
    pub expires_with: Option<String>,
    /// All of this in a sentence.
    pub sentence: String,
}

/// A step that was done and can be undone. A step that has items is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Effect {
    /// The service.
    pub service: String,
    /// The step.
    pub step: String,
    /// The event of the step.
    pub done: String,
    /// The sequence of that event, of the first item.
    pub done_sequence: u64,
    /// Whether it calls something outside the service's database.
    pub external: bool,
    /// The reaction that undoes it.
    pub undo: String,
    /// Whether it was undone. Of items: that of which somebody has to know first.
    pub fate: Fate,
}

/// Whether a step was undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fate {
    /// Not undone: it would be if the saga failed.
    Armed,
    /// Not undone, and final: the saga succeeded.
    Kept,
    /// It is about to be undone.
    Undoing,
    /// It was undone.
    Undone,
    /// Its undo has been handled as far as can be seen; it emits no event.
    Presumed,
    /// Its undo failed: a person has to decide.
    Failed,
}

/// Something that happened without being declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Deviation {
    /// The sequence of the event.
    pub sequence: u64,
    /// The event.
    pub event: String,
    /// The service that emitted it.
    pub source: String,
    /// What is wrong, in a sentence.
    pub what: String,
}
