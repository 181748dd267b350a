//! Operators' decisions: each is an event in a stream of its own.

use pavane_bus::{Bus, JetStream, Message, Outgoing};
use pavane_contract::{Cause, Clock, Envelope, EventId, EventRef, Key, Meta, SagaId, codec, subject};

use crate::{
    Error,
    report::{Action, DeadLetter, Decision},
};

/// The first token of a decision's subject: `audit.operator.<what>.<key>`.
const AUDIT: &str = "audit";
/// The source of these events.
const OPERATOR: &str = "operator";
/// The largest decision that is read, in bytes.
const PAYLOAD_MAX: usize = 1 << 20;

impl Action {
    /// The name of the event of this action.
    pub const fn event_name(self) -> &'static str {
        match self {
            Self::Redrive => "operator.redriven",
            Self::Discard => "operator.discarded",
            Self::Resolve => "operator.resolved",
            Self::Reveal => "operator.revealed",
        }
    }
}

/// Who decides, and why. Neither may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Because {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Because {
    /// Who decides, and why.
    ///
    /// # Errors
    ///
    /// When one of them is empty.
    pub fn new(by: impl Into<String>, reason: impl Into<String>) -> Result<Self, Error> {
        let because = Self { by: by.into(), reason: reason.into() };
        if because.by.trim().is_empty() || because.reason.trim().is_empty() {
            return Err(Error::Unaccountable);
        }
        Ok(because)
    }
}

/// Records that nothing more has to happen in a saga, with who decided so and why.
///
/// # Errors
///
/// When the decision can't be stored.
pub async fn resolve(bus: &JetStream, clock: &dyn Clock, saga: SagaId, because: &Because) -> Result<Decision, Error> {
    let decision = Decision { saga: Some(saga), ..decision(clock, Action::Resolve, because) };
    keep(bus, &decision).await?;
    Ok(decision)
}

/// A decision about a dead letter, not stored yet.
pub(crate) fn about(clock: &dyn Clock, action: Action, letter: &DeadLetter, because: &Because) -> Decision {
    Decision {
        saga: letter.saga,
        dead_letter: Some(letter.sequence),
        service: Some(letter.service.clone()),
        reaction: Some(letter.reaction.clone()),
        event_id: letter.event_id,
        ..decision(clock, action, because)
    }
}

/// The record that a person looks at a whole stored message, not stored yet.
pub(crate) fn revealed(
    clock: &dyn Clock,
    (sequence, meta, letter): (u64, Option<&Meta>, Option<&DeadLetter>),
    because: &Because,
) -> Decision {
    if let Some(letter) = letter {
        return about(clock, Action::Reveal, letter, because);
    }
    Decision {
        saga: meta.map(|meta| meta.cause.saga),
        event_sequence: Some(sequence),
        event_id: meta.map(|meta| meta.id),
        ..decision(clock, Action::Reveal, because)
    }
}

fn decision(clock: &dyn Clock, action: Action, because: &Because) -> Decision {
    Decision {
        id: EventId::new(clock),
        action,
        by: because.by.clone(),
        reason: because.reason.clone(),
        at: clock.now(),
        saga: None,
        dead_letter: None,
        event_sequence: None,
        service: None,
        reaction: None,
        event_id: None,
    }
}

/// Stores a decision, before anything is done about it.
pub(crate) async fn keep(bus: &JetStream, decision: &Decision) -> Result<(), Error> {
    prepare(bus).await?;
    publish(bus, decision).await
}

/// Creates the stream of decisions, if it doesn't exist.
pub(crate) async fn prepare(bus: &JetStream) -> Result<(), Error> {
    Ok(bus.provision_audit().await?)
}

pub(crate) async fn publish(bus: &JetStream, decision: &Decision) -> Result<(), Error> {
    let result = bus.publish(vec![encode(decision)?]).await.into_iter().next();
    match result {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(Error::NotKept(error.to_string())),
        None => Err(Error::NotKept("it was not published".to_owned())),
    }
}

fn encode(decision: &Decision) -> Result<Outgoing, Error> {
    let event = EventRef { name: decision.action.event_name().to_owned(), version: 1 };
    let key = match (decision.saga, decision.dead_letter) {
        (Some(saga), _) => Key::from(saga.as_uuid()),
        (None, letter) => Key::from(letter.or(decision.event_sequence).unwrap_or_default().to_string()),
    };
    let saga = decision.saga.unwrap_or_else(|| uuid::Uuid::nil().into());
    let cause = Cause { event: decision.event_id, ..Cause::new(saga, decision.at) };
    let subject = format!("{AUDIT}.{}.{}", event.name, subject::encode(&key));
    let meta = Meta { id: decision.id, event, key, source: OPERATOR.to_owned(), time: decision.at, cause };
    let body = serde_json::to_vec(decision).map_err(|error| Error::NotKept(error.to_string()))?;
    let envelope = Envelope { meta: meta.into(), body };
    Ok(Outgoing {
        subject,
        headers: codec::encode(&envelope),
        payload: envelope.body.into(),
        message_id: decision.id.to_string(),
    })
}

pub(crate) fn decode(message: &Message) -> Result<Decision, codec::Error> {
    let envelope = codec::decode(&message.headers, message.payload.clone(), PAYLOAD_MAX)?;
    Ok(serde_json::from_slice(&envelope.body)?)
}
