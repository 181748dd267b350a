//! The events of a trip, each under the name of the service that owns it. Their key is the trip, and a trip is one saga: both have
//! the same id.

use std::fmt;

use pavane::{Event, Key, SagaId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A trip, which is also its saga's id.
    TripId
}

id! {
    /// What the provider calls something that it holds: a seat, a room, a car.
    HoldId
}

impl TripId {
    /// The trip that a saga is.
    pub fn of(saga: SagaId) -> Self {
        Self(saga.as_uuid())
    }

    /// The saga that a trip is.
    pub fn saga(self) -> SagaId {
        self.0.into()
    }
}

impl From<TripId> for Key {
    fn from(trip: TripId) -> Self {
        trip.0.into()
    }
}

/// What a traveller wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wishes {
    /// Who flies: a seat for each.
    pub passengers: Vec<String>,
    /// With which flight.
    pub flight: String,
    /// Where to sleep.
    pub hotel: String,
    /// What the room was offered for. Above that, the traveller is asked.
    pub room_quote_cents: i64,
    /// Which car, if one.
    pub car: Option<String>,
    /// The card that pays.
    pub card: String,
}

/// Why a trip was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CancelReason {
    /// The flight has no seat for a passenger.
    NoSeat,
    /// The hotel has no room.
    NoRoom,
    /// The traveller didn't want the room at its new price.
    PriceRefused,
    /// Nobody answered about the new price in time.
    NoAnswer,
    /// The hotel kept the room for as long as it had promised.
    HoldExpired,
    /// The card was declined.
    NotPaid,
    /// The traveller cancelled.
    TravellerRequest,
    /// It took too long.
    DeadlinePassed,
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $wire:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })+) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = trip)]
        pub struct $name {
            /// The trip.
            pub trip: TripId,
            $($(#[$field_doc])* pub $field: $type,)*
        }
    )+ };
}

events! {
    /// A traveller wants to go.
    TripRequested = "trip.requested" {
        /// What.
        wishes: Wishes,
        /// How long a hotel has to keep the room.
        hold_seconds: u32,
    }
    /// The trip took too long.
    TripOverdue = "trip.overdue" {}
    /// Nobody has to be asked about the room's price: it is as it was offered, or the trip was cancelled meanwhile.
    PriceSettled = "trip.price-settled" {
        /// The room's price.
        room_cents: i64,
    }
    /// The room is dearer than it was offered. Does the traveller want it?
    PriceAsked = "trip.price-asked" {
        /// The price that was offered.
        quote_cents: i64,
        /// The new one.
        room_cents: i64,
    }
    /// Nobody answered in time.
    ApprovalExpired = "trip.approval-expired" {}
    /// The traveller wants the room at its new price.
    PriceApproved = "trip.price-approved" {
        /// The room's price.
        room_cents: i64,
    }
    /// The traveller doesn't.
    PriceRefused = "trip.price-refused" {}
    /// Seats, room and car are held, or there is no car.
    AllHeld = "trip.all-held" {
        /// The seats.
        seats: Vec<HoldId>,
        /// What all of it costs.
        total_cents: i64,
        /// The card that pays.
        card: String,
    }
    /// The trip takes place.
    TripConfirmed = "trip.confirmed" {
        /// What was wanted.
        wishes: Wishes,
        /// Whether there is a car.
        has_car: bool,
        /// What it cost.
        total_cents: i64,
    }
    /// The trip doesn't take place.
    TripCancelled = "trip.cancelled" {
        /// Why.
        reason: CancelReason,
    }

    /// A passenger needs a seat: an item.
    SeatWanted = "flight.seat-wanted" {
        /// Who.
        passenger: String,
        /// On which flight.
        flight: String,
    }
    /// The airline holds a seat.
    SeatHeld = "flight.seat-held" {
        /// The seat.
        seat: HoldId,
        /// Its price.
        cents: i64,
    }
    /// There is no seat.
    SeatRefused = "flight.seat-refused" {}
    /// A seat is free again.
    SeatReleased = "flight.seat-released" {
        /// The seat.
        seat: HoldId,
    }

    /// The hotel holds a room.
    RoomHeld = "hotel.room-held" {
        /// The room.
        room: HoldId,
        /// Its price.
        cents: i64,
    }
    /// There is no room.
    RoomRefused = "hotel.room-refused" {}
    /// The hotel keeps the room no longer.
    HoldExpired = "hotel.hold-expired" {}
    /// The room is free again.
    RoomReleased = "hotel.room-released" {}
    /// The room is the traveller's.
    RoomBooked = "hotel.room-booked" {}

    /// A car is held.
    CarHeld = "car.held" {
        /// The car.
        car: HoldId,
        /// Its price.
        cents: i64,
    }
    /// There is no car, or none was wanted.
    CarUnavailable = "car.unavailable" {}
    /// The car is free again.
    CarReleased = "car.released" {}
    /// The car is the traveller's.
    CarBooked = "car.booked" {}

    /// The trip is paid, and the seats have tickets.
    TicketsIssued = "ticketing.issued" {
        /// What was charged.
        charged_cents: i64,
    }
    /// The card was declined: no tickets.
    TicketsRefused = "ticketing.refused" {}
    /// The tickets were given back, for less than they cost.
    TicketsRefunded = "ticketing.refunded" {
        /// What was given back.
        refunded_cents: i64,
        /// What wasn't.
        fee_cents: i64,
    }
}
