use pavane_contract::{EventId, SagaId, Timestamp};
use serde::{Deserialize, Serialize};

/// An event that a reaction gave up on. Its body is in the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its sequence in the stream of dead letters.
    pub sequence: u64,
    /// The service that gave up.
    pub service: String,
    /// Its reaction.
    pub reaction: String,
    /// Why.
    pub cause: String,
    /// The event's name; empty when it can't be read.
    pub event: String,
    /// The version of the event's contract.
    pub version: u16,
    /// The event's id; `None` when it can't be read.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Uuid))]
    pub event_id: Option<EventId>,
    /// Its saga; `None` when it can't be read.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Uuid))]
    pub saga: Option<SagaId>,
    /// What the event is about.
    pub key: String,
    /// The event's own subject.
    pub subject: String,
    /// The event's sequence in the events stream.
    pub event_sequence: Option<u64>,
    /// How often the handler failed.
    pub attempts: u32,
    /// When it failed first, by the service's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub first_failed_at: Option<Timestamp>,
    /// When it failed last, by the service's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_failed_at: Option<Timestamp>,
    /// When it was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub stored_at: Timestamp,
    /// Whether its reaction is an undo: a person then has to decide.
    pub undo: bool,
    /// The decision about it.
    pub fate: LetterFate,
}

/// The decision about a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LetterFate {
    /// None yet.
    Open,
    /// It was redriven.
    Redriven,
    /// It was discarded.
    Discarded,
}

/// Dead letters with the same service, reaction and cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct DeadLetterGroup {
    /// The service.
    pub service: String,
    /// The reaction.
    pub reaction: String,
    /// The cause, with numbers and ids replaced by `…`.
    pub cause: String,
    /// Names the group: `<service>/<reaction>/<hash of the cause>`.
    pub id: String,
    /// How many.
    pub count: usize,
    /// The oldest and the newest, by the time that they were stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub oldest: Timestamp,
    /// The newest.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub newest: Timestamp,
    /// The sequences of the first hundred.
    pub sequences: Vec<u64>,
}

/// A person's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Decision {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: EventId,
    /// What was done.
    pub action: Action,
    /// Who did it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, by that tool's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// The saga that it is about; `None` when the dead letter's could not be read.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Uuid))]
    pub saga: Option<SagaId>,
    /// The dead letter that it is about.
    pub dead_letter: Option<u64>,
    /// The event in the events stream that it is about.
    #[serde(default)]
    pub event_sequence: Option<u64>,
    /// The service of the dead letter.
    pub service: Option<String>,
    /// The reaction of the dead letter.
    pub reaction: Option<String>,
    /// The event, or that of the dead letter.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Uuid))]
    pub event_id: Option<EventId>,
}

/// An action of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// Redrive a dead letter.
    Redrive,
    /// Discard a dead letter.
    Discard,
    /// Record that nothing more has to happen in a saga.
    Resolve,
    /// Look at the personal data of an event.
    Reveal,
}
