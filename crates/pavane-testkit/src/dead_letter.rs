use pavane::{
    bus::{Message, Outgoing, memory::Stored},
    contract::{RawEnvelope, Timestamp, codec::Headers},
    inbox::dead_letter::{REDRIVE, header},
};

use crate::stage;

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
    /// The event; `None` when it can't be read.
    pub event: Option<RawEnvelope>,
    /// When the reaction failed first.
    pub first_failed_at: Timestamp,
    /// Where it stands in the stream of dead letters.
    pub sequence: u64,
    message: Message,
}

impl DeadLetter {
    pub(crate) fn of(stored: &Stored) -> Self {
        let message = stored.message.clone();
        let value = |name| message.headers.get(name).unwrap_or_default().to_owned();
        Self {
            service: value(header::SERVICE),
            reaction: value(header::REACTION),
            cause: value(header::CAUSE),
            subject: value(header::SUBJECT),
            event: stage::read(stored),
            first_failed_at: value(header::FIRST_FAILED_AT).parse().unwrap_or_default(),
            sequence: stored.sequence,
            message,
        }
    }

    /// The event as it is published to be redriven.
    pub(crate) fn redriven(&self, message_id: String) -> Outgoing {
        let own = self.message.headers.iter().filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            !name.starts_with("nats-") && !name.starts_with("pavane-dead-")
        });
        let headers: Headers = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let subject = self.subject.strip_prefix("redrive.").map_or(self.subject.as_str(), |_| original(&self.subject));
        Outgoing {
            subject: format!("{REDRIVE}.{}.{}.{subject}", self.service, self.reaction),
            headers,
            payload: self.message.payload.clone(),
            message_id,
        }
    }
}

/// The subject that an event was first published to, also when it was redriven since.
fn original(subject: &str) -> &str {
    let redriven = subject.strip_prefix(REDRIVE).and_then(|rest| rest.strip_prefix('.'));
    redriven.and_then(|rest| rest.splitn(3, '.').nth(2)).unwrap_or(subject)
}
