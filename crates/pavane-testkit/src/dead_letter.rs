use pavane::Timestamp;
use pavane_bus::{Message, Outgoing};
use pavane_contract::{RawEnvelope, codec};
use pavane_inbox::dead_letter::{Address, header, redrive};

/// An event that a reaction gave up on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its service.
    pub service: String,
    /// The reaction that gave up.
    pub reaction: String,
    /// Why.
    pub cause: String,
    /// The event's subject.
    pub subject: String,
    /// The event; `None` when it can't be read, or came where it doesn't belong.
    pub event: Option<RawEnvelope>,
    /// When the reaction failed first.
    pub first_failed_at: Timestamp,
    /// Its sequence in the stream of dead letters.
    pub sequence: u64,
}

impl DeadLetter {
    /// `None` for what is on no dead letter's subject.
    pub(crate) fn of(sequence: u64, message: &Message) -> Option<Self> {
        let Address { service, reaction, subject } = Address::of_letter(&message.subject)?;
        let value = |name| message.headers.get(name).unwrap_or_default();
        Some(Self {
            service: service.to_owned(),
            reaction: reaction.to_owned(),
            cause: value(header::CAUSE).to_owned(),
            subject: subject.to_owned(),
            event: codec::decode_on(subject, &message.headers, message.payload.clone(), usize::MAX).ok(),
            first_failed_at: value(header::FIRST_FAILED_AT).parse().unwrap_or_default(),
            sequence,
        })
    }

    /// The message that redrives it.
    pub(crate) fn redriven(&self, message_id: String) -> Outgoing {
        let Self { service, reaction, subject, .. } = self;
        redrive(Address { service, reaction, subject }, self.sequence, message_id)
    }
}
