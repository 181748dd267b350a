//! What a handler is given of a saga that has several of a kind.

use std::{ops::Deref, slice};

use pavane_choreography::{JoinPart, Role};
use pavane_contract::{Envelope, Event, EventRef, EventSet, Item, RawEnvelope, codec, personal::EventFields};

use super::{Input, Part, Undone, find, sealed};
use crate::kind;

/// The argument of a reaction that runs once for each item: its event. As a step it has a row, and an undo, for each item.
///
/// It dereferences to the event's envelope, and so to the event. What the handler emits is about the same item.
///
/// # Examples
///
/// ```
/// # use pavane_contract::Event;
/// # use pavane_inbox::{Each, Handled};
/// # use pavane_outbox::Tx;
/// # struct Flight;
/// async fn reserve<SeatWanted: Event>(_: &Flight, tx: &mut Tx<sqlx::Postgres>, seat: Each<SeatWanted>) -> Handled {
///     let insert = sqlx::query("insert into seat (trip, number) values ($1, $2)").bind(seat.meta.cause.saga.to_string());
///     insert.bind(i64::from(seat.item().number())).execute(tx.conn()).await?;
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Each<E> {
    event: Envelope<E>,
    item: Item,
}

impl<E> Each<E> {
    /// Which item it is, and of how many.
    pub const fn item(&self) -> Item {
        self.item
    }
}

impl<E> Deref for Each<E> {
    type Target = Envelope<E>;

    fn deref(&self) -> &Envelope<E> {
        &self.event
    }
}

impl<E: Event> Input for Each<E> {
    type Local = kind::Item;
    type Place = ();
    type Argument<'a> = Self;

    fn role() -> Role {
        Role::Each
    }

    fn events() -> Vec<EventRef> {
        E::refs()
    }

    fn fields() -> Vec<EventFields> {
        <E as EventSet>::fields()
    }

    fn read(given: &[RawEnvelope], (): &mut ()) -> Result<Self, codec::Error> {
        let event = find(given, &E::refs())?;
        Ok(Self { item: item_of(event)?, event: event.decode()? })
    }
}

impl<E: Event> Undone for Each<E> {
    type Event = E;
}

/// The argument of a reaction that runs once in a saga, when the event has come for every item: the envelopes, in the order of the items.
/// A [join](super::All), alone or as one of several parts.
///
/// # Examples
///
/// ```
/// # use pavane_contract::Event;
/// # use pavane_inbox::{All, Every, Handled};
/// # use pavane_outbox::Tx;
/// # struct Trip;
/// async fn confirm<SeatReserved: Event, HotelHeld: Event>(
///     _: &Trip,
///     tx: &mut Tx<sqlx::Postgres>,
///     All((Every(seats), hotel)): All<(Every<SeatReserved>, HotelHeld)>,
/// ) -> Handled {
///     let insert = sqlx::query("insert into trip (hotel, seats) values ($1, $2)").bind(hotel.meta.id.to_string());
///     insert.bind(seats.len() as i64).execute(tx.conn()).await?;
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a pattern in a handler's signature")]
pub struct Every<E>(pub Vec<Envelope<E>>);

impl<E: Event> Every<E> {
    fn part() -> JoinPart {
        JoinPart::Every(EventRef::of::<E>())
    }

    fn of(given: &[RawEnvelope]) -> Result<Self, codec::Error> {
        let mut items = Vec::new();
        for event in given.iter().filter(|event| event.meta.event.is::<E>()) {
            items.push((item_of(event)?, event.decode()?));
        }
        items.sort_by_key(|(item, _)| item.number());
        Ok(Self(items.into_iter().map(|(_, event)| event).collect()))
    }
}

impl<E: Event> Input for Every<E> {
    type Local = kind::Join;
    type Place = ();
    type Argument<'a> = Self;

    fn role() -> Role {
        Role::Join { of: vec![Self::part()] }
    }

    fn events() -> Vec<EventRef> {
        E::refs()
    }

    fn fields() -> Vec<EventFields> {
        <E as EventSet>::fields()
    }

    fn read(given: &[RawEnvelope], (): &mut ()) -> Result<Self, codec::Error> {
        Self::of(given)
    }

    fn check(event: &RawEnvelope) -> Result<(), codec::Error> {
        Self::of(slice::from_ref(event)).map(drop)
    }
}

impl<E: Event> Part for Every<E> {
    type Event = Self;

    fn part() -> JoinPart {
        Self::part()
    }

    fn fields() -> Vec<EventFields> {
        <E as EventSet>::fields()
    }

    fn read(given: &[RawEnvelope]) -> Result<Self, codec::Error> {
        Self::of(given)
    }
}

impl<E> sealed::Sealed for Each<E> {}
impl<E> sealed::Sealed for Every<E> {}

fn item_of(event: &RawEnvelope) -> Result<Item, codec::Error> {
    event.meta.cause.item.ok_or_else(|| codec::Error::NoItem(event.meta.event.clone()))
}
