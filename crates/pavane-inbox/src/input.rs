//! What a handler is given, by the type of its argument: one event, that of an item, or the events of a join.

mod item;

use std::{any::Any, fmt, marker::PhantomData, slice};

use pavane_choreography::{JoinPart, Role};
use pavane_contract::{Envelope, Event, EventRef, EventSet, RawEnvelope, codec, personal::EventFields};

pub use item::{Each, Every};

use crate::kind;

/// What a handler is given. Sealed: [`Single`], [`Each`], [`All`] and [`Every`].
pub trait Input: sealed::Sealed + 'static {
    /// The kind of a reaction without an effect.
    type Local: kind::Forward;

    /// Where what was read is kept while the handler borrows it.
    #[doc(hidden)]
    type Place: Default + Send;

    /// The argument's type.
    type Argument<'a>: Send;

    #[doc(hidden)]
    fn role() -> Role;

    /// The events on which the reaction runs.
    #[doc(hidden)]
    fn events() -> Vec<EventRef>;

    /// The fields of these events.
    #[doc(hidden)]
    fn fields() -> Vec<EventFields>;

    /// Reads the argument from the events.
    ///
    /// # Errors
    ///
    /// When an event's body doesn't fit its type.
    #[doc(hidden)]
    fn read<'a>(given: &[RawEnvelope], place: &'a mut Self::Place) -> Result<Self::Argument<'a>, codec::Error>;

    /// Fails where an event of a join doesn't fit its type. When the join is complete, it would be too late: another event would be
    /// blamed.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[doc(hidden)]
    fn check(_: &RawEnvelope) -> Result<(), codec::Error> {
        Ok(())
    }
}

/// One event: the argument is `&Envelope<E>`.
#[derive(Debug)]
pub struct Single<E>(PhantomData<fn() -> E>);

impl<E: Event> Input for Single<E> {
    type Local = kind::Local;
    type Place = Option<Envelope<E>>;
    type Argument<'a> = &'a Envelope<E>;

    fn role() -> Role {
        Role::React
    }

    fn events() -> Vec<EventRef> {
        E::refs()
    }

    fn fields() -> Vec<EventFields> {
        <E as EventSet>::fields()
    }

    fn read<'a>(given: &[RawEnvelope], place: &'a mut Self::Place) -> Result<Self::Argument<'a>, codec::Error> {
        Ok(place.insert(find(given, &E::refs())?.decode()?))
    }
}

/// The argument of a join: an event of each part. The handler runs once in a saga, when all are there.
///
/// A part is an event, [`OneOf`] several, or [`Every`] item's. The events come as envelopes, in the order of the parts.
///
/// # Examples
///
/// ```
/// # use pavane_contract::Event;
/// # use pavane_inbox::{All, Handled, OneOf};
/// # use pavane_outbox::Tx;
/// # struct Trip;
/// async fn confirm<FlightBooked: Event, HotelBooked: Event, CarBooked: Event, CarUnavailable: Event>(
///     _: &Trip,
///     tx: &mut Tx<sqlx::Postgres>,
///     All((flight, hotel, car)): All<(FlightBooked, HotelBooked, OneOf<(CarBooked, CarUnavailable)>)>,
/// ) -> Handled {
///     let insert = sqlx::query("insert into itinerary (flight, hotel, car) values ($1, $2, $3)");
///     let insert = insert.bind(flight.meta.id.to_string()).bind(hotel.meta.id.to_string());
///     insert.bind(car.get::<CarBooked>().map(|car| car.meta.id.to_string())).execute(tx.conn()).await?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a pattern in a handler's signature")]
pub struct All<P: Parts>(pub P::Events);

/// The parts of a join: a tuple of two to eight, each an event, [`OneOf`] several or [`Every`] item's.
pub trait Parts: sealed::Sealed + 'static {
    /// What a handler gets: a tuple with an envelope for each part.
    type Events: fmt::Debug + Send;

    #[doc(hidden)]
    fn parts() -> Vec<JoinPart>;

    #[doc(hidden)]
    fn fields() -> Vec<EventFields>;

    #[doc(hidden)]
    fn read(given: &[RawEnvelope]) -> Result<Self::Events, codec::Error>;

    #[doc(hidden)]
    fn check(event: &RawEnvelope) -> Result<(), codec::Error>;
}

impl<P: Parts> Input for All<P> {
    type Local = kind::Join;
    type Place = ();
    type Argument<'a> = Self;

    fn role() -> Role {
        Role::Join { of: P::parts() }
    }

    fn events() -> Vec<EventRef> {
        P::parts().iter().flat_map(JoinPart::events).cloned().collect()
    }

    fn fields() -> Vec<EventFields> {
        P::fields()
    }

    fn read(given: &[RawEnvelope], (): &mut ()) -> Result<Self, codec::Error> {
        Ok(Self(P::read(given)?))
    }

    fn check(event: &RawEnvelope) -> Result<(), codec::Error> {
        P::check(event)
    }
}

/// What an undo undoes, as its handler is given it: [`Single`] or [`Each`].
pub trait Undone: Input {
    /// The step's event.
    type Event: Event;
}

impl<E: Event> Undone for Single<E> {
    type Event = E;
}

/// One part of a join: an event, [`OneOf`] several, or [`Every`] item's.
pub trait Part: 'static {
    /// What a handler gets.
    type Event: fmt::Debug + Send;

    #[doc(hidden)]
    fn part() -> JoinPart;

    #[doc(hidden)]
    fn fields() -> Vec<EventFields>;

    #[doc(hidden)]
    fn read(given: &[RawEnvelope]) -> Result<Self::Event, codec::Error>;
}

impl<E: Event> Part for E {
    type Event = Envelope<E>;

    fn part() -> JoinPart {
        JoinPart::OneOf(E::refs())
    }

    fn fields() -> Vec<EventFields> {
        <E as EventSet>::fields()
    }

    fn read(given: &[RawEnvelope]) -> Result<Self::Event, codec::Error> {
        find(given, &E::refs())?.decode()
    }
}

/// A part of a join for which one of several events is enough: whichever of them the saga has.
pub struct OneOf<C: Choice> {
    event: EventRef,
    envelope: Box<dyn Any + Send + Sync>,
    choice: PhantomData<fn() -> C>,
}

/// The events of [`OneOf`]: a tuple of two to eight.
pub trait Choice: EventSet + 'static {
    #[doc(hidden)]
    const NAMES: &'static [&'static str];

    #[doc(hidden)]
    fn read(event: &RawEnvelope) -> Result<Box<dyn Any + Send + Sync>, codec::Error>;
}

impl<C: Choice> OneOf<C> {
    /// The event, if it is an `E`. That `E` is none of the choice's events is an error of the compiler.
    pub fn get<E: Event>(&self) -> Option<&Envelope<E>> {
        const { assert!(contains(C::NAMES, E::NAME), "this OneOf<…> has no such event") };
        self.envelope.downcast_ref()
    }

    /// Which of the events it is.
    pub const fn event(&self) -> &EventRef {
        &self.event
    }
}

impl<C: Choice> fmt::Debug for OneOf<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OneOf").field(&self.event).finish()
    }
}

impl<C: Choice> Part for OneOf<C> {
    type Event = Self;

    fn part() -> JoinPart {
        JoinPart::OneOf(C::refs())
    }

    fn fields() -> Vec<EventFields> {
        <C as EventSet>::fields()
    }

    fn read(given: &[RawEnvelope]) -> Result<Self, codec::Error> {
        let event = find(given, &C::refs())?;
        Ok(Self { event: event.meta.event.clone(), envelope: C::read(event)?, choice: PhantomData })
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Part),+> sealed::Sealed for ($($name,)+) {}

        impl<$($name: Part),+> Parts for ($($name,)+) {
            type Events = ($($name::Event,)+);

            fn parts() -> Vec<JoinPart> {
                vec![$($name::part()),+]
            }

            fn fields() -> Vec<EventFields> {
                [$($name::fields()),+].concat()
            }

            fn read(given: &[RawEnvelope]) -> Result<Self::Events, codec::Error> {
                Ok(($($name::read(given)?,)+))
            }

            fn check(event: &RawEnvelope) -> Result<(), codec::Error> {
                $(if $name::part().events().contains(&event.meta.event) {
                    return $name::read(slice::from_ref(event)).map(drop);
                })+
                Ok(())
            }
        }

        impl<$($name: Event),+> Choice for ($($name,)+) {
            const NAMES: &'static [&'static str] = &[$($name::NAME),+];

            fn read(event: &RawEnvelope) -> Result<Box<dyn Any + Send + Sync>, codec::Error> {
                $(if event.meta.event == EventRef::of::<$name>() {
                    return Ok(Box::new(event.decode::<$name>()?));
                })+
                Err(other(&Self::refs(), event))
            }
        }
    };
}

tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);

impl<E> sealed::Sealed for Single<E> {}
impl<P: Parts> sealed::Sealed for All<P> {}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
}

/// The event among those that a reaction is given. The engine gives a reaction nothing but its events, one of each part.
fn find<'a>(given: &'a [RawEnvelope], wanted: &[EventRef]) -> Result<&'a RawEnvelope, codec::Error> {
    let found = given.iter().find(|event| wanted.contains(&event.meta.event));
    found.ok_or_else(|| given.first().map_or(codec::Error::MissingHeader("ce-type"), |event| other(wanted, event)))
}

fn other(wanted: &[EventRef], found: &RawEnvelope) -> codec::Error {
    let found = found.meta.event.clone();
    codec::Error::OtherEvent { wanted: wanted.first().unwrap_or(&found).clone(), found }
}

const fn contains(names: &[&str], name: &str) -> bool {
    let mut at = 0;
    while at < names.len() {
        if same(names[at].as_bytes(), name.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}
