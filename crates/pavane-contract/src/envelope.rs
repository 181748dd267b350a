use std::{fmt, ops::Deref, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;

use crate::{Event, EventId, EventRef, Key, SagaId, codec};

/// A W3C trace context, carried from the request to the last reaction.
///
/// Kept as text: Pavane forwards it and lets the tracing library read it. See <https://www.w3.org/TR/trace-context/>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The `traceparent` header.
    pub parent: String,
    /// The `tracestate` header, when there is one.
    pub state: Option<String>,
}

impl TraceContext {
    /// The trace's id, from the parent: 32 hexadecimal digits. Empty when the parent is invalid.
    pub fn trace_id(&self) -> &str {
        self.parent.split('-').nth(1).unwrap_or_default()
    }
}

/// Why an event happened: what a new event inherits from the event before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The saga it belongs to.
    pub saga: SagaId,
    /// When the saga started. A reaction can tell from it whether the saga's ledger and outcome may have been pruned.
    pub started: Timestamp,
    /// The event before; `None` for the first of a saga.
    pub event: Option<EventId>,
    /// The trace it continues.
    pub trace: Option<TraceContext>,
    /// Which of the saga's items it is about. `None` for what is about the saga as a whole.
    pub item: Option<Item>,
}

/// One of several things of a kind that a saga has: a line of an order, a passenger. Items are numbered in the order in which they were
/// emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    number: u32,
    count: u32,
}

impl Item {
    /// Most items of a kind that a saga has.
    pub const MAX: u32 = 1000;

    /// The item of this number, of so many. `None` unless `1 <= number <= count <= MAX`.
    pub const fn new(number: u32, count: u32) -> Option<Self> {
        if 1 <= number && number <= count && count <= Self::MAX { Some(Self { number, count }) } else { None }
    }

    /// Its number; the first has the number 1.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// How many there are.
    pub const fn count(self) -> u32 {
        self.count
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {} of {}", self.number, self.count)
    }
}

impl Cause {
    /// The cause of a saga's first event. The saga started at the time in its id, or at `at` where the id has none.
    pub fn new(saga: SagaId, at: Timestamp) -> Self {
        Self { saga, started: saga.time().unwrap_or(at), event: None, trace: None, item: None }
    }
}

/// Everything about an event but its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Identifies the event for ever.
    pub id: EventId,
    /// Which event it is.
    pub event: EventRef,
    /// What it is about.
    pub key: Key,
    /// The service that emitted it.
    pub source: String,
    /// When it was emitted, by that service's clock. Never compare it with another service's.
    pub time: Timestamp,
    /// The saga, the event before, and the trace.
    pub cause: Cause,
}

/// An event as it arrives: the body, and its metadata.
///
/// It dereferences to its body: `order.order_id` reads a field of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<E> {
    /// Everything but the body. Shared by the event and its decoded form.
    pub meta: Arc<Meta>,
    /// The event itself.
    pub body: E,
}

/// An event whose body has not been decoded yet.
pub type RawEnvelope = Envelope<Bytes>;

impl<E> Deref for Envelope<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.body
    }
}

impl<E> Envelope<E> {
    /// The cause of an event that is emitted on this one, and that is about the saga as a whole.
    pub fn as_cause(&self) -> Cause {
        Cause { event: Some(self.meta.id), item: None, ..self.meta.cause.clone() }
    }
}

impl<E: Event> Envelope<&E> {
    /// Encodes the body.
    ///
    /// # Errors
    ///
    /// When the body can't be written as JSON (for example a map whose keys aren't strings).
    pub fn into_raw(self) -> Result<RawEnvelope, codec::Error> {
        let body = serde_json::to_vec(self.body)?;
        Ok(Envelope { meta: self.meta, body: body.into() })
    }
}

impl RawEnvelope {
    /// Decodes the body as `E`.
    ///
    /// # Errors
    ///
    /// When the envelope holds another event or another version than `E`, or its body isn't a valid `E`.
    pub fn decode<E: Event>(&self) -> Result<Envelope<E>, codec::Error> {
        if !self.meta.event.is::<E>() {
            return Err(codec::Error::OtherEvent { wanted: EventRef::of::<E>(), found: self.meta.event.clone() });
        }
        let body = serde_json::from_slice(&self.body)?;
        Ok(Envelope { meta: Arc::clone(&self.meta), body })
    }
}
