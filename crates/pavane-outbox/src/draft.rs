//! From an event to its stored form, with the checks that every emission passes.

use pavane_contract::{Cause, Envelope, Event, EventId, EventRef, Key, Meta, RawEnvelope};

use crate::{Database, Db, Emissions, Error, trace};

/// Fails for an event that isn't declared. `method` is the method that would declare it.
pub(crate) fn check_declared<E: Event>(
    emissions: &Emissions,
    allowed: impl Fn(&Emissions, &EventRef) -> bool,
    method: &'static str,
) -> Result<(), Error> {
    let event = EventRef::of::<E>();
    if allowed(emissions, &event) {
        return Ok(());
    }
    Err(Error::Undeclared { who: emissions.who().to_owned(), event, method })
}

/// Fails unless the service schedules the event: cancelling a timer that nothing sets is a mistake.
pub(crate) fn check_cancels<E: Event>(emissions: &Emissions) -> Result<(), Error> {
    let event = EventRef::of::<E>();
    if emissions.allow_cancel(&event) {
        return Ok(());
    }
    Err(Error::NeverScheduled { who: emissions.who().to_owned(), event })
}

/// An event that is emitted now.
pub(crate) fn envelope<DB: Database, E: Event>(db: &Db<DB>, cause: &Cause, event: &E) -> Result<RawEnvelope, Error> {
    let key = event.key();
    if key.as_str().len() > Key::MAX_BYTES {
        return Err(Error::KeyTooLong { event: EventRef::of::<E>(), bytes: key.as_str().len() });
    }
    Ok(Envelope { meta: meta(db, cause, EventRef::of::<E>(), key).into(), body: event }.into_raw()?)
}

/// Everything but the body of an event that is emitted now.
pub(crate) fn meta<DB: Database>(db: &Db<DB>, cause: &Cause, event: EventRef, key: Key) -> Meta {
    let clock = db.clock();
    let source = db.service().to_owned();
    let cause = Cause { trace: trace::current(cause.trace.as_ref()), ..cause.clone() };
    Meta { id: EventId::new(clock), event, key, source, time: clock.now(), cause }
}
