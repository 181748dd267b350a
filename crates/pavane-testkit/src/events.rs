//! Events as others emit them, and what came of them.

use std::sync::Arc;

use pavane::{Envelope, Event, SagaId};
use pavane_bus::{Memory, Outgoing, memory::Stored, topology::DEAD_LETTERS};
use pavane_contract::{Cause, Clock, EventId, EventRef, Item, Meta, RawEnvelope, SystemClock, codec, subject};

use crate::DeadLetter;

/// An event of a saga as if its owner had emitted it just now, with an id of its own.
///
/// A test that cares about more of it changes its `meta`, with [`Arc::make_mut`](std::sync::Arc::make_mut).
///
/// # Panics
///
/// When the event can't be encoded.
pub fn envelope<E: Event>(saga: SagaId, event: &E) -> RawEnvelope {
    envelope_by(&SystemClock, saga, event)
}

/// Events as their owner emits them for the items of a list, in their order.
///
/// # Panics
///
/// When one can't be encoded, and when there are more than a saga may have.
pub fn envelope_each<E: Event>(saga: SagaId, events: &[E]) -> Vec<RawEnvelope> {
    envelope_each_by(&SystemClock, saga, events)
}

/// An event as its owner's relay publishes it. The message gets an id of its own each time, so that the broker takes none for a
/// duplicate: its duplicate window must not be what saves a service.
pub fn outgoing(event: &RawEnvelope) -> Outgoing {
    outgoing_as(event, EventId::new(&SystemClock).to_string())
}

/// As [`envelope`], by the clock of the test.
pub(crate) fn envelope_by<E: Event>(clock: &dyn Clock, saga: SagaId, event: &E) -> RawEnvelope {
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

/// As [`envelope_each`], by the clock of the test.
pub(crate) fn envelope_each_by<E: Event>(clock: &dyn Clock, saga: SagaId, events: &[E]) -> Vec<RawEnvelope> {
    let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
    let of_item = |(number, event): (u32, &E)| with_item(envelope_by(clock, saga, event), (number, count));
    (1..).zip(events).map(of_item).collect()
}

/// An event that is about an item: its number, and of how many.
pub(crate) fn with_item(mut event: RawEnvelope, (number, count): (u32, u32)) -> RawEnvelope {
    let item = Item::new(number, count).unwrap_or_else(|| panic!("a saga has at most {} items", Item::MAX));
    Arc::make_mut(&mut event.meta).cause.item = Some(item);
    event
}

pub(crate) fn publish(bus: &Memory, messages: Vec<Outgoing>) {
    for receipt in bus.try_publish(messages) {
        let receipt = receipt.unwrap_or_else(|error| panic!("failed to publish: {error}"));
        assert!(!receipt.duplicate, "the bus hides a duplicate from the service");
    }
}

pub(crate) fn outgoing_as(event: &RawEnvelope, message_id: String) -> Outgoing {
    let subject = subject::of(&event.meta.event, &event.meta.key);
    Outgoing { subject, headers: codec::encode(event), payload: event.body.clone(), message_id }
}

/// The event that a message is. One that is elsewhere than on its own subject counts nowhere.
pub(crate) fn read(stored: &Stored) -> Option<RawEnvelope> {
    let message = &stored.message;
    codec::decode_on(&message.subject, &message.headers, message.payload.clone(), usize::MAX).ok()
}

/// The bodies of those of some events that are of one type.
///
/// # Panics
///
/// When the body of one can't be read as `E`.
pub(crate) fn bodies<E: Event>(events: Vec<RawEnvelope>) -> Vec<E> {
    let wanted = EventRef::of::<E>();
    let events = events.into_iter().filter(|event| event.meta.event == wanted);
    events.map(|event| event.decode().unwrap_or_else(|error| panic!("failed to read an event: {error}")).body).collect()
}

/// The names of some events.
pub(crate) fn names(events: &[RawEnvelope]) -> Vec<String> {
    events.iter().map(|event| event.meta.event.name.clone()).collect()
}

pub(crate) fn dead_letters(bus: &Memory) -> Vec<DeadLetter> {
    let letters = bus.messages(DEAD_LETTERS);
    letters.iter().filter_map(|stored| DeadLetter::of(stored.sequence, &stored.message)).collect()
}
