//! What a history consists of.

use pavane::{SagaId, Timestamp};
use pavane_choreography::Declaration;
use pavane_contract::{
    EventId, EventRef, Meta,
    codec::{self, Headers},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// One thing that happened, or that is known about a service. Plain data: a line of JSON in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// What a service says about itself.
    Declared(Box<Declaration>),
    /// The commits of a service are recorded, and were read.
    Audited(Audited),
    /// A row that a commit wrote.
    Changed(Change),
    /// An event in the stream.
    Published(Published),
    /// What is in a stream and can't be read.
    Unreadable(Unreadable),
    /// An event that a reaction gave up on.
    GivenUp(GivenUp),
    /// A call that reached something outside, a payment provider for example.
    Called(Called),
    /// A request that a caller made, and the answer that it got.
    Answered(Answered),
    /// What was done to the system on purpose.
    Disturbed(Disturbed),
}

/// A service whose commits are recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Audited {
    /// Its name, as the recorder was told.
    pub service: String,
    /// When its commits were read, in microseconds since the Unix epoch, by its database's clock.
    pub read_at: i64,
}

/// A row of one of the framework's tables that a commit inserted, updated or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// Whose database it is.
    pub service: String,
    /// When, in microseconds since the Unix epoch, by the database's clock.
    pub at: i64,
    /// The transaction: rows of one transaction have the same.
    pub tx: i64,
    /// Which transactions had ended when the row was written: PostgreSQL's `txid_snapshot`, `xmin:xmax:running`.
    pub saw: String,
    /// What became of the row.
    pub op: Op,
    /// The row: as it is now, or as it was when it was deleted.
    #[serde(flatten)]
    pub row: Row,
}

/// What a commit does to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// It is new.
    Insert,
    /// It was there, and is another now.
    Update,
    /// It is gone.
    Delete,
}

/// A row, as far as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(tag = "table", rename_all = "snake_case")]
pub enum Row {
    /// An event that a reaction has handled, or has given up on.
    #[expect(missing_docs, reason = "the columns of `pavane_inbox`")]
    Inbox { reaction: String, event_id: EventId, handled_at: i64, given_up: Option<String> },
    /// Where a step stands.
    #[expect(missing_docs, reason = "the columns of `pavane_ledger`")]
    Ledger { saga: SagaId, step: String, item: String, state: String },
    /// An event that leaves with the commit.
    #[expect(missing_docs, reason = "the columns of `pavane_outbox`")]
    Outbox {
        seq: i64,
        subject: String,
        refused: Option<String>,
        #[serde(alias = "headers")]
        event: Emitted,
    },
    /// An event of the outbox that waits to be published.
    #[expect(missing_docs, reason = "the column of `pavane_unsent`")]
    Unsent { seq: i64 },
    /// An event whose time has not come.
    #[expect(missing_docs, reason = "the columns of `pavane_timer`")]
    Timer { event_id: EventId, saga: SagaId, event: String, due_at: i64 },
    /// How a saga ended.
    #[expect(missing_docs, reason = "the columns of `pavane_outcome`")]
    Outcome { saga: SagaId, event: String },
    /// A dead letter that waits to be published.
    #[expect(missing_docs, reason = "the columns of `pavane_dead_letter`")]
    DeadLetter { id: i64, reaction: String, cut_at: Option<i64> },
    /// An undo that waits for its step.
    #[expect(missing_docs, reason = "the columns of `pavane_waiting`")]
    Waiting { reaction: String, event_id: EventId, saga: SagaId },
}

/// What is known of an event without its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Emitted {
    /// The event's id.
    pub id: EventId,
    /// Which event it is.
    pub event: EventRef,
    /// Its saga.
    pub saga: SagaId,
    /// The event before it.
    pub cause: Option<EventId>,
    /// Which of the saga's items it is about, and of how many.
    pub item: Option<(u32, u32)>,
}

/// A message of the stream of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Published {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the server stored it.
    pub at: Timestamp,
    /// Its subject.
    pub subject: String,
    /// The event.
    pub event: Emitted,
}

/// A message that is no event, where events are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unreadable {
    /// The stream, and the message's sequence there.
    pub at: (String, u64),
    /// Why it can't be read.
    pub why: String,
}

/// A message of the stream of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GivenUp {
    /// When the server stored it.
    pub at: Timestamp,
    /// The service that gave up.
    pub service: String,
    /// The reaction that did.
    pub reaction: String,
    /// Why.
    pub cause: String,
    /// The event; `None` when it can't be read.
    pub event: Option<Emitted>,
}

/// A call that reached something outside the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// When.
    pub at: Timestamp,
    /// What was asked for: `authorize`.
    pub what: String,
    /// The idempotency key.
    pub key: String,
    /// Whether it had its effect: a repetition, which gets the first one's answer, has none.
    pub effective: bool,
}

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// When the answer came.
    pub at: Timestamp,
    /// The request: `POST /orders`.
    pub what: String,
    /// The saga that it began or belongs to, if the answer told.
    pub saga: Option<SagaId>,
    /// Whether it was accepted: then its saga has to end.
    pub accepted: bool,
}

/// What was done to the system on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disturbed {
    /// What was done: `SIGKILL payment 1`.
    pub what: String,
    /// The service that should feel it; `None` when all should.
    pub service: Option<String>,
    /// When it began.
    pub from: Timestamp,
    /// When it was over.
    pub to: Timestamp,
}

impl Change {
    /// Whether the transaction, which was committed, was so before this row was written.
    pub(super) fn saw(&self, tx: i64) -> bool {
        let mut snapshot = self.saw.splitn(3, ':');
        let mut next = || snapshot.next().unwrap_or_default();
        let (first, end, running) = (next().parse().unwrap_or(0), next().parse().unwrap_or(0), next());
        tx < first || tx < end && !running.split(',').any(|it| it.parse() == Ok(tx))
    }
}

impl Emitted {
    pub(super) fn of(meta: &Meta) -> Self {
        let item = meta.cause.item.map(|item| (item.number(), item.count()));
        Self { id: meta.id, event: meta.event.clone(), saga: meta.cause.saga, cause: meta.cause.event, item }
    }
}

/// From a file, or from the headers as the outbox has them: a text with pairs of name and value.
impl<'de> Deserialize<'de> for Emitted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Headers(String),
            Fields { id: EventId, event: EventRef, saga: SagaId, cause: Option<EventId>, item: Option<(u32, u32)> },
        }
        match Form::deserialize(deserializer)? {
            Form::Fields { id, event, saga, cause, item } => Ok(Self { id, event, saga, cause, item }),
            Form::Headers(text) => {
                let pairs: Vec<(String, String)> = serde_json::from_str(&text).map_err(D::Error::custom)?;
                let mut headers = Headers::with_capacity(pairs.len(), text.len());
                for (name, value) in pairs {
                    headers.push_str(codec::header::name(&name), &value);
                }
                let event = codec::decode(&headers, bytes::Bytes::new(), usize::MAX).map_err(D::Error::custom)?;
                Ok(Self::of(&event.meta))
            }
        }
    }
}

impl From<Called> for Record {
    fn from(called: Called) -> Self {
        Self::Called(called)
    }
}

impl From<Answered> for Record {
    fn from(answered: Answered) -> Self {
        Self::Answered(answered)
    }
}

impl From<Disturbed> for Record {
    fn from(disturbed: Disturbed) -> Self {
        Self::Disturbed(disturbed)
    }
}
