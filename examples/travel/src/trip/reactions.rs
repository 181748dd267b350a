//! The reactions: each locks the trip's row first, then decides, asks or adds up.
//!
//! The row before the outcome, everywhere: two that take them in different orders would deadlock. And so a trip that was cancelled is
//! seen to be: nobody is asked about it, and no tickets are bought.

use pavane::{All, Decision, Envelope, Event, Every, Handled, HandlerError, OneOf, postgres::Tx};

use super::store::{self, Trip};
use crate::contracts::{
    AllHeld, ApprovalExpired, CancelReason, CarHeld, CarUnavailable, HoldExpired, PriceApproved, PriceAsked,
    PriceRefused, PriceSettled, RoomHeld, RoomRefused, SeatHeld, SeatRefused, TicketsIssued, TicketsRefused,
    TripCancelled, TripConfirmed, TripId, TripOverdue,
};

/// An event that is a reason to cancel.
pub(super) trait Ends: Event {
    const REASON: CancelReason;
}

macro_rules! ends {
    ($($event:ident => $reason:ident),+ $(,)?) => {
        $(impl Ends for $event {
            const REASON: CancelReason = CancelReason::$reason;
        })+
    };
}

ends! {
    SeatRefused => NoSeat,
    RoomRefused => NoRoom,
    PriceRefused => PriceRefused,
    ApprovalExpired => NoAnswer,
    HoldExpired => HoldExpired,
    TicketsRefused => NotPaid,
    TripOverdue => DeadlinePassed,
}

/// A room that is dearer than it was offered needs an answer, within the time that the traveller has.
pub(super) async fn ask_price((): &(), tx: &mut Tx, room: &Envelope<RoomHeld>) -> Handled {
    let (trip, room_cents) = (room.trip, room.cents);
    let Trip { wishes, answer_within, is_cancelled, .. } = locked(tx, trip).await?;
    let quote_cents = wishes.room_quote_cents;
    if is_cancelled || room_cents <= quote_cents {
        tx.emit(&PriceSettled { trip, room_cents }).await?;
        return Ok(());
    }
    store::asking(tx, trip).await?;
    tx.emit_after(answer_within, &ApprovalExpired { trip }).await?;
    tx.emit(&PriceAsked { trip, quote_cents, room_cents }).await?;
    Ok(())
}

/// What tickets need: every seat, the room at a price that is settled, and a car or none.
type Held = All<(Every<SeatHeld>, OneOf<(PriceSettled, PriceApproved)>, OneOf<(CarHeld, CarUnavailable)>)>;

pub(super) async fn add_up((): &(), tx: &mut Tx, All((seats, price, car)): Held) -> Handled {
    let trip = TripId::of(tx.saga());
    let Trip { wishes, is_cancelled, .. } = locked(tx, trip).await?;
    if is_cancelled {
        return Ok(());
    }
    let Every(seats) = seats;
    let settled = price.get::<PriceSettled>().map(|price| price.room_cents);
    let room_cents = settled.or_else(|| price.get::<PriceApproved>().map(|price| price.room_cents)).unwrap_or_default();
    let car_cents = car.get::<CarHeld>().map(|car| car.cents);
    let seat_cents: i64 = seats.iter().map(|seat| seat.cents).sum();
    let total_cents = seat_cents + room_cents + car_cents.unwrap_or_default();
    store::paying(tx, trip, car_cents.is_some(), total_cents).await?;
    let seats = seats.iter().map(|seat| seat.seat).collect();
    tx.emit(&AllHeld { trip, seats, total_cents, card: wishes.card }).await?;
    Ok(())
}

/// The trip is paid, so it takes place, unless it was cancelled before: then the tickets are given back.
pub(super) async fn confirm((): &(), tx: &mut Tx, issued: &Envelope<TicketsIssued>) -> Handled {
    let trip = issued.trip;
    let Trip { wishes, has_car, .. } = locked(tx, trip).await?;
    let confirmed = TripConfirmed { trip, wishes, has_car, total_cents: issued.charged_cents };
    if tx.decide(&confirmed).await? == Decision::Won {
        store::confirmed(tx, trip).await?;
    }
    Ok(())
}

/// The trip can't take place, so it is cancelled, unless its end was decided before.
pub(super) async fn cancel<E: Ends>((): &(), tx: &mut Tx, _: &Envelope<E>) -> Handled {
    let trip = TripId::of(tx.saga());
    locked(tx, trip).await?;
    if tx.decide(&TripCancelled { trip, reason: E::REASON }).await? == Decision::Won {
        store::cancelled(tx, trip, E::REASON).await?;
    }
    Ok(())
}

/// Writes down for the traveller what became of the parts.
pub(super) async fn note<E: Event>((): &(), tx: &mut Tx, _: &Envelope<E>) -> Handled {
    store::note(tx, TripId::of(tx.saga()), E::NAME).await?;
    Ok(())
}

/// The row is committed before the first event is published. So one that isn't there never will be, and a retry would not help.
async fn locked(tx: &mut Tx, trip: TripId) -> Result<Trip, HandlerError> {
    store::lock(tx, trip).await?.ok_or_else(|| HandlerError::reject(format!("there is no trip {trip} here")))
}
