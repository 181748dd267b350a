//! What a stage is made of, for whoever builds another one: a database, events as others emit them, and what came of them.

use std::sync::Arc;

use pavane::{
    Envelope, Event, SagaId,
    database::{Config as DbConfig, Database, Db},
};
use pavane_bus::{Memory, Outgoing, memory::Stored, topology::DEAD_LETTERS};
use pavane_contract::{Cause, Clock, EventId, EventRef, Meta, RawEnvelope, codec, subject};
use pavane_outbox::internal::CrashPoints;

use crate::DeadLetter;

/// The URL of a database in memory.
pub(crate) const IN_MEMORY: &str = "sqlite::memory:";

/// A database in memory. It lives as long as the value.
pub(crate) async fn open_database<DB: Database>(
    service: &str,
    clock: Arc<dyn Clock>,
    crash_points: Option<Arc<dyn CrashPoints>>,
) -> Db<DB> {
    let mut config = DbConfig::new(service, IN_MEMORY);
    config.clock = clock;
    config.crash_points = crash_points;
    Db::open(config).await.unwrap_or_else(|error| panic!("failed to open a SQLite database in memory: {error}"))
}

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
