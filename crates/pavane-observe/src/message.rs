//! One stored message with its body, read when somebody looks at it: a view keeps none.

use pavane_bus::{
    JetStream,
    jetstream::Stored,
    topology::{DEAD_LETTERS, EVENTS},
};
use pavane_contract::{Timestamp, codec};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// A stored message as a person reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct StoredMessage {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When it was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub stored_at: Timestamp,
    /// Its subject.
    pub subject: String,
    /// Its headers, each a name and a value.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<String>>))]
    pub headers: Vec<(String, String)>,
    /// The event's body; `None` when it isn't JSON.
    pub body: Option<Value>,
    /// The payload as text, when `body` is `None`.
    pub text: Option<String>,
    /// The trace that the event belongs to, as 32 hexadecimal digits.
    pub trace: Option<String>,
}

/// An event with its body, from the events stream; `None` when it isn't there any more.
///
/// # Errors
///
/// When the bus can't be reached.
pub async fn event_at(bus: &JetStream, sequence: u64) -> Result<Option<StoredMessage>, Error> {
    Ok(bus.stored(EVENTS, sequence).await?.map(StoredMessage::from))
}

/// A dead letter with its body; `None` when it isn't there any more.
///
/// # Errors
///
/// When the bus can't be reached.
pub async fn dead_letter_at(bus: &JetStream, sequence: u64) -> Result<Option<StoredMessage>, Error> {
    Ok(bus.stored(DEAD_LETTERS, sequence).await?.map(StoredMessage::from))
}

impl From<Stored> for StoredMessage {
    fn from(Stored { sequence, at, message, .. }: Stored) -> Self {
        let event = codec::decode(&message.headers, message.payload.clone(), usize::MAX).ok();
        let trace = event.as_ref().and_then(|event| event.meta.cause.trace.as_ref());
        let trace = trace.and_then(|trace| trace.parent.split('-').nth(1)).map(str::to_owned);
        let payload = event.map_or(message.payload, |event| event.body);
        let body: Option<Value> = serde_json::from_slice(&payload).ok();
        let text = body.is_none().then(|| String::from_utf8_lossy(&payload).into_owned());
        let headers = message.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { sequence, stored_at: at, subject: message.subject, headers: headers.collect(), body, text, trace }
    }
}
