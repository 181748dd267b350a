//! One stored message, read on demand: a view keeps no bodies.
//!
//! A body may have personal data, so the message is [sealed](Sealed): it is shown without that, or in full to a person who gives
//! a name and a reason, which are recorded.

use std::fmt;

use pavane_bus::{
    JetStream,
    dead_letter::{Address, header},
    jetstream::Stored,
    topology::{DEAD_LETTERS, EVENTS},
};
use pavane_contract::{
    Clock, Envelope, RawEnvelope, Timestamp, codec,
    personal::{Fields, UNDECLARED},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, View,
    audit::{self, Because},
    report::Decision,
    update,
};

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
    /// The event's body; `None` when it isn't JSON, or isn't shown.
    pub body: Option<Value>,
    /// The payload as text, when it isn't JSON.
    pub text: Option<String>,
    /// The trace that the event belongs to, as 32 hexadecimal digits.
    pub trace: Option<String>,
    /// Whether personal and undeclared values are left out.
    pub redacted: bool,
    /// Why nothing of the body is shown, if nothing is.
    pub hidden: Option<String>,
}

/// A stored message that was not shown yet.
#[derive(Clone)]
pub struct Sealed {
    stored: Stored,
    /// The event, if it is one.
    event: Option<RawEnvelope>,
    is_letter: bool,
}

/// An event from the events stream; `None` when it isn't there any more.
///
/// # Errors
///
/// When the bus can't be reached.
pub async fn event_at(bus: &JetStream, sequence: u64) -> Result<Option<Sealed>, Error> {
    Ok(bus.stored(EVENTS, sequence).await?.map(|stored| Sealed::new(stored, false)))
}

/// A dead letter; `None` when it isn't there any more.
///
/// # Errors
///
/// When the bus can't be reached.
pub async fn dead_letter_at(bus: &JetStream, sequence: u64) -> Result<Option<Sealed>, Error> {
    Ok(bus.stored(DEAD_LETTERS, sequence).await?.map(|stored| Sealed::new(stored, true)))
}

impl Sealed {
    fn new(stored: Stored, is_letter: bool) -> Self {
        let message = &stored.message;
        let address = if is_letter { Address::of_letter(&message.subject) } else { None };
        let subject = address.map_or(message.subject.as_str(), |address| address.subject);
        // A message that isn't on its own subject may be anything.
        let event = codec::decode_on(subject, &message.headers, message.payload.clone(), usize::MAX).ok();
        Self { stored, event, is_letter }
    }

    /// The trace that the event belongs to, as 32 hexadecimal digits.
    pub fn trace(&self) -> Option<String> {
        let trace = self.event.as_ref()?.meta.cause.trace.as_ref()?;
        Some(trace.trace_id().to_owned()).filter(|trace| !trace.is_empty())
    }

    /// The message without personal data, as the event's owner declares it. Without a declaration, nothing of the body is shown.
    pub fn redacted(&self, view: &View) -> StoredMessage {
        let mut message = self.told();
        message.redacted = true;
        for (name, value) in &mut message.headers {
            if !is_known(name) {
                UNDECLARED.clone_into(value);
            }
        }
        match self.body(view) {
            Ok((fields, body)) => {
                let shown = fields.redact(&body);
                message.redacted = shown != body || message.headers.iter().any(|(_, value)| value == UNDECLARED);
                message.body = Some(shown);
            }
            Err(why) => message.hidden = Some(why),
        }
        message
    }

    /// The event without personal data, as it would be published.
    ///
    /// # Errors
    ///
    /// When nothing of it may be shown, with the reason.
    pub fn redacted_event(&self, view: &View) -> Result<RawEnvelope, String> {
        let (fields, body) = self.body(view)?;
        let event = self.event.as_ref().ok_or(UNREADABLE)?;
        Ok(Envelope { meta: event.meta.clone(), body: fields.redact(&body).to_string().into() })
    }

    /// The whole message, for a person who gives a name and a reason. These are recorded first.
    ///
    /// # Errors
    ///
    /// When they can't be recorded; nothing is shown then.
    pub async fn reveal(
        self,
        bus: &JetStream,
        clock: &dyn Clock,
        because: &Because,
    ) -> Result<(StoredMessage, Decision), Error> {
        let meta = self.event.as_ref().map(|event| &*event.meta);
        let letter = if self.is_letter { update::dead_letter(&self.stored) } else { None };
        let decision = audit::revealed(clock, (self.stored.sequence, meta, letter.as_ref()), because);
        audit::keep(bus, &decision).await?;
        let mut message = self.told();
        let payload = self.event.map_or(self.stored.message.payload, |event| event.body);
        message.body = serde_json::from_slice(&payload).ok();
        message.text = message.body.is_none().then(|| String::from_utf8_lossy(&payload).into_owned());
        Ok((message, decision))
    }

    /// Everything but the body.
    fn told(&self) -> StoredMessage {
        let Stored { sequence, at, message, .. } = &self.stored;
        let headers = message.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        StoredMessage {
            sequence: *sequence,
            stored_at: *at,
            subject: message.subject.clone(),
            headers: headers.collect(),
            body: None,
            text: None,
            trace: self.trace(),
            redacted: false,
            hidden: None,
        }
    }

    /// The body, and which fields of it may be shown; or why that isn't known.
    fn body<'v>(&self, view: &'v View) -> Result<(&'v Fields, Value), String> {
        let event = self.event.as_ref().ok_or(UNREADABLE)?;
        let fields = view.fields(&event.meta.event).ok_or_else(|| {
            format!("{} does not declare the fields of {}", event.meta.event.owner(), event.meta.event)
        })?;
        let body = serde_json::from_slice(&event.body).map_err(|_| "the body is not JSON".to_owned())?;
        Ok((fields, body))
    }
}

const UNREADABLE: &str = "it can't be read as an event";

/// Whether events, dead letters or the server have a header of this name.
fn is_known(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    codec::header::ALL.contains(&name.as_str())
        || name.starts_with("nats-")
        || name.starts_with("pavane-dead-")
        || name == header::LETTER
}

/// Without headers and body.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("sequence", &self.stored.sequence).finish_non_exhaustive()
    }
}
