//! What a stage is made of: events as others emit them, and what came of them.

use pavane::{Envelope, Event, SagaId};
use pavane_bus::{Memory, Outgoing, memory::Stored, topology::DEAD_LETTERS};
use pavane_contract::{Cause, Clock, EventId, EventRef, Meta, RawEnvelope, codec, subject};

use crate::DeadLetter;

/// An event as if another service had emitted it.
pub(crate) fn envelope<E: Event>(clock: &dyn Clock, saga: SagaId, event: &E) -> RawEnvelope {
    let meta = Meta {
        id: EventId::new(clock),
        event: EventRef::of::<E>(),
        key: event.key(),
        source: EventRef::of::<E>().owner().to_owned(),
        time: clock.now(),
        cause: Cause::new(saga, clock.now()),
    };
    Envelope { meta: meta.into(), body: event }
        .into_raw()
        .unwrap_or_else(|error| panic!("failed to encode the event: {error}"))
}

pub(crate) fn publish(bus: &Memory, event: &RawEnvelope, message_id: String) {
    let subject = subject::of(&event.meta.event, &event.meta.key);
    let outgoing = Outgoing { subject, headers: codec::encode(event), payload: event.body.clone(), message_id };
    for outcome in bus.try_publish(vec![outgoing]) {
        outcome.unwrap_or_else(|error| panic!("failed to publish: {error}"));
    }
}

/// The event that a message is. One that is elsewhere than on its own subject counts nowhere.
pub(crate) fn read(stored: &Stored) -> Option<RawEnvelope> {
    let message = &stored.message;
    codec::decode_on(&message.subject, &message.headers, message.payload.clone(), usize::MAX).ok()
}

pub(crate) fn dead_letters(bus: &Memory) -> Vec<DeadLetter> {
    bus.messages(DEAD_LETTERS).iter().filter_map(DeadLetter::of).collect()
}
