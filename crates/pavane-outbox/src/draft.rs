//! From an event to its stored form, with the checks that every emission passes.

use pavane_contract::{Cause, Envelope, Event, EventId, EventRef, Item, Key, Meta, RawEnvelope};

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

/// Fails for an event of which this transaction has emitted a list: items with the same numbers would be taken for the same.
pub(crate) fn check_first_list<E: Event>(emissions: &Emissions, emitted: &[RawEnvelope]) -> Result<(), Error> {
    let event = EventRef::of::<E>();
    if emitted.iter().all(|emitted| emitted.meta.event != event) {
        return Ok(());
    }
    Err(Error::SecondList { who: emissions.who().to_owned(), event })
}

/// The events of a list, numbered.
pub(crate) fn items<DB: Database, E: Event>(
    db: &Db<DB>,
    cause: &Cause,
    emissions: &Emissions,
    events: impl IntoIterator<Item = E>,
) -> Result<Vec<RawEnvelope>, Error> {
    check_declared::<E>(emissions, Emissions::allow_each, "emits_each")?;
    let (who, event) = (|| emissions.who().to_owned(), EventRef::of::<E>());
    // One more than there may be shows that there are too many.
    let events: Vec<E> = events.into_iter().take(Item::MAX as usize + 1).collect();
    let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
    if count > Item::MAX {
        return Err(Error::TooManyItems { who: who(), event });
    }
    let of_item =
        |(number, event): (u32, E)| envelope(db, &Cause { item: Item::new(number, count), ..cause.clone() }, &event);
    let list: Vec<_> = (1..).zip(events).map(of_item).collect::<Result<_, _>>()?;
    if list.is_empty() {
        let instead = emissions.or_if_none(&event).map_or_else(
            || "declare .or_if_none::<…>() with what to emit then".to_owned(),
            |none| format!("emit {none} in that case, as .or_if_none::<…>() declares"),
        );
        return Err(Error::NoItems { who: who(), event, instead });
    }
    Ok(list)
}

/// An event that is emitted now and is about the saga as a whole, whatever its cause is about.
pub(crate) fn of_saga<DB: Database, E: Event>(db: &Db<DB>, cause: &Cause, event: &E) -> Result<RawEnvelope, Error> {
    envelope(db, &Cause { item: None, ..cause.clone() }, event)
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
