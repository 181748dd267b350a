//! The parts of the streams' messages that a view needs.

use std::sync::Arc;

use pavane_bus::{
    dead_letter::{Address, header},
    jetstream::{ConsumerReport, Stored},
};
use pavane_choreography::Declaration;
use pavane_contract::{Meta, Timestamp, codec};

use crate::{
    audit,
    report::{DeadLetter, Decision, LetterFate},
};

/// The longest body that is read. Services refuse longer ones, too.
const PAYLOAD_MAX: usize = 64 << 20;

/// One thing that was read, to be [applied](crate::View::apply) to a view.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Update {
    /// A service published its declaration.
    Declared(Box<Declaration>),
    /// A service's declaration was removed.
    Undeclared(String),
    /// An event was stored.
    Event(Box<SeenEvent>),
    /// A message of the events stream is not an event.
    Unreadable {
        /// Its sequence in the events stream.
        sequence: u64,
        /// When it was stored.
        stored_at: Timestamp,
        /// Why it can't be read.
        why: String,
    },
    /// A reaction gave up on an event.
    DeadLetter(Box<DeadLetter>),
    /// Dead letters older than this sequence are gone.
    DeadLettersFrom(u64),
    /// A person decided something.
    Decision(Box<Decision>),
    /// The state of the consumers of the events stream.
    Consumers {
        /// When, by the server's clock.
        at: Timestamp,
        /// All of them.
        reports: Vec<ConsumerReport>,
    },
    /// The end of the events stream.
    End {
        /// When, by the server's clock.
        at: Timestamp,
        /// Its last sequence.
        last_sequence: u64,
        /// Whether everything up to there was read.
        reached: bool,
        /// Whether everything that was in the streams at the start was read.
        loaded: bool,
    },
    /// The events stream was created again: what was read before is gone.
    Restarted,
}

/// An event, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenEvent {
    /// Its sequence in the events stream.
    pub sequence: u64,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Everything but its body.
    pub meta: Meta,
    /// The service and the reaction that it was redriven to; `None` for an event to all.
    pub redriven_to: Option<(String, String)>,
}

impl SeenEvent {
    /// An event to all reactions that run on it.
    pub const fn new(sequence: u64, stored_at: Timestamp, meta: Meta) -> Self {
        Self { sequence, stored_at, meta, redriven_to: None }
    }

    /// The event was redriven to one reaction.
    #[must_use]
    pub fn redriven_to(mut self, service: &str, reaction: &str) -> Self {
        self.redriven_to = Some((service.to_owned(), reaction.to_owned()));
        self
    }
}

/// Reads a message of the events stream. A redrive can't be read alone, because it only names a dead letter: see
/// [`Feed`](crate::Feed).
pub fn event(stored: &Stored) -> Update {
    let Stored { sequence, at, message, .. } = stored;
    match codec::decode_on(&message.subject, &message.headers, message.payload.clone(), PAYLOAD_MAX) {
        Ok(envelope) => Update::Event(Box::new(SeenEvent::new(*sequence, *at, Arc::unwrap_or_clone(envelope.meta)))),
        Err(error) => Update::Unreadable { sequence: *sequence, stored_at: *at, why: error.to_string() },
    }
}

/// Reads a redrive, given the dead letter that it names: as the reaction does.
pub(crate) fn redrive(stored: &Stored, letter: Option<&Stored>) -> Update {
    let Stored { sequence, at, message, .. } = stored;
    let read = || {
        let letter = &letter.ok_or("the dead letter is not there (any more)")?.message;
        let address = Address::of_letter(&letter.subject).ok_or("what it names is no dead letter")?;
        if Address::of_redrive(&message.subject) != Some(address) {
            return Err(format!("it is on {:?} and the dead letter on {:?}", message.subject, letter.subject));
        }
        let event = codec::decode_on(address.subject, &letter.headers, letter.payload.clone(), PAYLOAD_MAX);
        let meta = Arc::unwrap_or_clone(event.map_err(|error| error.to_string())?.meta);
        Ok(SeenEvent::new(*sequence, *at, meta).redriven_to(address.service, address.reaction))
    };
    match read() {
        Ok(event) => Update::Event(Box::new(event)),
        Err(why) => Update::Unreadable { sequence: *sequence, stored_at: *at, why: format!("a redrive: {why}") },
    }
}

/// Reads a message of the stream of dead letters. `None` for another message.
pub fn dead_letter(stored: &Stored) -> Option<DeadLetter> {
    let Stored { sequence, at, message, .. } = stored;
    let Address { service, reaction, subject } = Address::of_letter(&message.subject)?;
    let says = |name: &str| message.headers.get(name);
    let time = |name: &str| says(name).and_then(|time| time.parse().ok());
    let event = codec::decode_on(subject, &message.headers, message.payload.clone(), PAYLOAD_MAX);
    let meta = event.ok().map(|event| event.meta);
    Some(DeadLetter {
        sequence: *sequence,
        service: service.to_owned(),
        reaction: reaction.to_owned(),
        cause: says(header::CAUSE).unwrap_or_default().to_owned(),
        event: meta.as_ref().map(|meta| meta.event.name.clone()).unwrap_or_default(),
        version: meta.as_ref().map_or(0, |meta| meta.event.version),
        event_id: meta.as_ref().map(|meta| meta.id),
        saga: meta.as_ref().map(|meta| meta.cause.saga),
        key: meta.as_ref().map(|meta| meta.key.to_string()).unwrap_or_default(),
        subject: subject.to_owned(),
        event_sequence: says(header::SEQUENCE).and_then(|sequence| sequence.parse().ok()),
        attempts: says(header::ATTEMPTS).and_then(|attempts| attempts.parse().ok()).unwrap_or(0),
        first_failed_at: time(header::FIRST_FAILED_AT),
        last_failed_at: time(header::LAST_FAILED_AT),
        stored_at: *at,
        undo: false,
        fate: LetterFate::Open,
    })
}

/// Reads a message of the bucket of declarations. `None` for another message, or another version of the form.
pub fn declaration(stored: &Stored) -> Option<Update> {
    let service = stored.message.subject.rsplit('.').next().unwrap_or_default();
    // A key-value bucket marks a removed key by an empty value.
    if stored.message.headers.get("KV-Operation").is_some() || stored.message.payload.is_empty() {
        return Some(Update::Undeclared(service.to_owned()));
    }
    match serde_json::from_slice::<Declaration>(&stored.message.payload) {
        // Only the service itself may write under its name, so a declaration counts only there.
        Ok(declaration) if declaration.manifest.service != service => {
            tracing::warn!(service, says = declaration.manifest.service, "a declaration of another service is ignored");
            None
        }
        Ok(declaration) if declaration.schema == Declaration::SCHEMA => Some(Update::Declared(Box::new(declaration))),
        Ok(declaration) => {
            tracing::warn!(service, schema = declaration.schema, "a declaration of another form is ignored");
            None
        }
        Err(error) => {
            tracing::warn!(service, %error, "a declaration can't be read and is ignored");
            None
        }
    }
}

/// Reads a message of the stream of decisions. `None` for another message.
pub fn decision(stored: &Stored) -> Option<Update> {
    match audit::decode(&stored.message) {
        Ok(decision) => Some(Update::Decision(Box::new(decision))),
        Err(error) => {
            tracing::warn!(sequence = stored.sequence, %error, "a decision can't be read and is ignored");
            None
        }
    }
}
