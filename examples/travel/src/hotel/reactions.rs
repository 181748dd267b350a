//! A room: held, and then booked or released. The timer of its hold ends with either.

use std::time::Duration;

use pavane::{
    Envelope, Handled, HandlerError,
    postgres::{Call, Tx},
};

use super::{Hotel, store};
use crate::{
    contracts::{HoldExpired, RoomBooked, RoomHeld, RoomRefused, RoomReleased, TripConfirmed, TripRequested},
    provider::{Answer, Order, Stock},
};

pub(super) async fn hold(
    hotel: &Hotel,
    call: &Call<'_>,
    requested: &Envelope<TripRequested>,
) -> Result<Answer, HandlerError> {
    hotel.provider.hold(call, &order(requested)).await
}

pub(super) async fn find_hold(
    hotel: &Hotel,
    call: &Call<'_>,
    requested: &Envelope<TripRequested>,
) -> Result<Option<Answer>, HandlerError> {
    hotel.provider.find_hold(call, &order(requested)).await
}

fn order(requested: &TripRequested) -> Order {
    Order { stock: Stock::Room, reference: requested.trip.to_string(), wish: requested.wishes.hotel.clone() }
}

pub(super) async fn record_hold(
    _: &Hotel,
    tx: &mut Tx,
    requested: &Envelope<TripRequested>,
    answer: Answer,
) -> Handled {
    let trip = requested.trip;
    match answer {
        Answer::Held(hold) => {
            let keeps = Duration::from_secs(requested.hold_seconds.into());
            store::insert(tx, requested, hold, keeps).await?;
            tx.emit_after(keeps, &HoldExpired { trip }).await?;
            tx.emit(&RoomHeld { trip, room: hold.id, cents: hold.cents }).await?;
        }
        Answer::None => tx.emit(&RoomRefused { trip }).await?,
    }
    Ok(())
}

pub(super) async fn release(hotel: &Hotel, call: &Call<'_>, held: &Envelope<RoomHeld>) -> Handled {
    hotel.provider.release(call, held.room).await
}

pub(super) async fn record_release(_: &Hotel, tx: &mut Tx, held: &Envelope<RoomHeld>, (): ()) -> Handled {
    tx.cancel::<HoldExpired>().await?;
    store::set(tx, held.trip, "released").await?;
    tx.emit(&RoomReleased { trip: held.trip }).await?;
    Ok(())
}

/// No trip is confirmed without a room, so the row is there.
pub(super) async fn book(hotel: &Hotel, call: &Call<'_>, confirmed: &Envelope<TripConfirmed>) -> Handled {
    let room = store::room(&mut *call.db().await?, confirmed.trip).await?;
    hotel.provider.book(call, room).await
}

pub(super) async fn record_booking(_: &Hotel, tx: &mut Tx, confirmed: &Envelope<TripConfirmed>, (): ()) -> Handled {
    tx.cancel::<HoldExpired>().await?;
    store::set(tx, confirmed.trip, "booked").await?;
    tx.emit(&RoomBooked { trip: confirmed.trip }).await?;
    Ok(())
}
