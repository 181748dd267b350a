//! Seats: wanted, held and released one by one.

use pavane::{
    Each, Envelope, Handled, HandlerError,
    postgres::{Call, Tx},
};

use super::{Flight, store};
use crate::{
    contracts::{SeatHeld, SeatRefused, SeatReleased, SeatWanted, TripConfirmed, TripRequested},
    provider::{Answer, Order, Stock},
};

pub(super) async fn split(_: &Flight, tx: &mut Tx, requested: &Envelope<TripRequested>) -> Handled {
    let trip = requested.trip;
    let seat =
        |passenger: &String| SeatWanted { trip, passenger: passenger.clone(), flight: requested.wishes.flight.clone() };
    tx.emit_each(requested.wishes.passengers.iter().map(seat)).await?;
    Ok(())
}

pub(super) async fn hold(flight: &Flight, call: &Call<'_>, wanted: Each<SeatWanted>) -> Result<Answer, HandlerError> {
    flight.airline.hold(call, &order(&wanted)).await
}

pub(super) async fn find_hold(
    flight: &Flight,
    call: &Call<'_>,
    wanted: Each<SeatWanted>,
) -> Result<Option<Answer>, HandlerError> {
    flight.airline.find_hold(call, &order(&wanted)).await
}

/// The airline finds a seat by its trip and its number.
fn order(wanted: &Each<SeatWanted>) -> Order {
    let reference = format!("{}/{}", wanted.trip, wanted.item().number());
    Order { stock: Stock::Seat, reference, wish: wanted.flight.clone() }
}

pub(super) async fn record_hold(_: &Flight, tx: &mut Tx, wanted: Each<SeatWanted>, answer: Answer) -> Handled {
    let trip = wanted.trip;
    match answer {
        Answer::Held(hold) => {
            store::insert(tx, &wanted, hold).await?;
            tx.emit(&SeatHeld { trip, seat: hold.id, cents: hold.cents }).await?;
        }
        Answer::None => tx.emit(&SeatRefused { trip }).await?,
    }
    Ok(())
}

pub(super) async fn release(flight: &Flight, call: &Call<'_>, held: Each<SeatHeld>) -> Handled {
    flight.airline.release(call, held.seat).await
}

pub(super) async fn record_release(_: &Flight, tx: &mut Tx, held: Each<SeatHeld>, (): ()) -> Handled {
    store::released(tx, held.seat).await?;
    tx.emit(&SeatReleased { trip: held.trip, seat: held.seat }).await?;
    Ok(())
}

/// The airline booked them when it issued the tickets.
pub(super) async fn keep(_: &Flight, tx: &mut Tx, confirmed: &Envelope<TripConfirmed>) -> Handled {
    store::booked(tx, confirmed.trip).await?;
    Ok(())
}
