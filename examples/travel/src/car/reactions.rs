//! A car: held if there is one, and then booked or released.

use pavane::{
    Envelope, Handled, HandlerError,
    postgres::{Call, Tx},
};

use super::{Car, store};
use crate::{
    contracts::{CarBooked, CarHeld, CarReleased, CarUnavailable, TripConfirmed, TripRequested},
    provider::{Answer, Order, Stock},
};

pub(super) async fn hold(
    car: &Car,
    call: &Call<'_>,
    requested: &Envelope<TripRequested>,
) -> Result<Answer, HandlerError> {
    match order(requested) {
        Some(order) => car.rental.hold(call, &order).await,
        None => Ok(Answer::None),
    }
}

pub(super) async fn find_hold(
    car: &Car,
    call: &Call<'_>,
    requested: &Envelope<TripRequested>,
) -> Result<Option<Answer>, HandlerError> {
    match order(requested) {
        Some(order) => car.rental.find_hold(call, &order).await,
        None => Ok(Some(Answer::None)),
    }
}

/// `None` where no car is wanted.
fn order(requested: &TripRequested) -> Option<Order> {
    let wish = requested.wishes.car.clone()?;
    Some(Order { stock: Stock::Car, reference: requested.trip.to_string(), wish })
}

pub(super) async fn record_hold(_: &Car, tx: &mut Tx, requested: &Envelope<TripRequested>, answer: Answer) -> Handled {
    let trip = requested.trip;
    match answer {
        Answer::Held(hold) => {
            store::insert(tx, trip, hold).await?;
            tx.emit(&CarHeld { trip, car: hold.id, cents: hold.cents }).await?;
        }
        Answer::None => tx.emit(&CarUnavailable { trip }).await?,
    }
    Ok(())
}

pub(super) async fn release(car: &Car, call: &Call<'_>, held: &Envelope<CarHeld>) -> Handled {
    car.rental.release(call, held.car).await
}

pub(super) async fn record_release(_: &Car, tx: &mut Tx, held: &Envelope<CarHeld>, (): ()) -> Handled {
    store::set(tx, held.trip, "released").await?;
    tx.emit(&CarReleased { trip: held.trip }).await?;
    Ok(())
}

/// Whether there is one to book.
pub(super) async fn book(
    car: &Car,
    call: &Call<'_>,
    confirmed: &Envelope<TripConfirmed>,
) -> Result<bool, HandlerError> {
    let held = store::car(&mut *call.db().await?, confirmed.trip).await?;
    if let Some(held) = held {
        car.rental.book(call, held).await?;
    }
    Ok(held.is_some())
}

pub(super) async fn record_booking(
    _: &Car,
    tx: &mut Tx,
    confirmed: &Envelope<TripConfirmed>,
    is_booked: bool,
) -> Handled {
    if is_booked {
        store::set(tx, confirmed.trip, "booked").await?;
        tx.emit(&CarBooked { trip: confirmed.trip }).await?;
    }
    Ok(())
}
