//! The trip service: takes requests, asks about dearer rooms, joins what is held, and decides how the trip ends.
//!
//! | event | reaction | emits |
//! |---|---|---|
//! | room held | compares its price with the offer | `PriceSettled`, or the question `PriceAsked` |
//! | all seats, the price, the car | adds up: a join | `AllHeld` |
//! | tickets issued | confirms the trip | decides `TripConfirmed` |
//! | any "no", or too late | cancels it | decides `TripCancelled` |
//! | what is released, refunded or booked | writes it down | |

pub mod entries;
mod http;
mod reactions;
mod store;

use std::time::Duration;

use pavane::{
    Config, Declared, Saga, on,
    postgres::{App, Service},
};
use tokio::net::TcpListener;

use crate::{
    contracts::{
        AllHeld, ApprovalExpired, CarBooked, CarReleased, HoldExpired, PriceApproved, PriceAsked, PriceRefused,
        PriceSettled, RoomBooked, RoomRefused, RoomReleased, SeatRefused, SeatReleased, SeatWanted, TicketsRefunded,
        TicketsRefused, TripCancelled, TripConfirmed, TripOverdue, TripRequested,
    },
    process,
};
use entries::{APPROVE, CANCEL, REQUEST};
use reactions::{add_up, ask_price, cancel, confirm, note};
use web::{Running, Shutdown};

/// The longest that a traveller may let a trip take.
const LONGEST: Duration = Duration::from_hours(24);

/// The saga that every trip is. What wants seats, settles a price, asks or adds up leaves nothing behind.
pub fn saga() -> Saga {
    Saga::new("trip")
        .starts_with::<TripRequested>()
        .completes_with::<TripConfirmed>()
        .aborts_with::<TripCancelled>()
        .within(LONGEST)
        .without_undo::<(SeatWanted, PriceSettled, PriceAsked, AllHeld)>()
}

/// The service's part of the choreography.
pub fn service() -> Service<()> {
    Service::new("trip", ())
        .migrations(sqlx::migrate!("migrations/trip"))
        .saga(saga())
        .entry(&REQUEST, |entry| entry.emits::<TripRequested>().schedules::<TripOverdue>())
        .entry(&CANCEL, Declared::decides::<TripCancelled>)
        .entry(&APPROVE, |entry| {
            entry
                .answers::<PriceAsked>()
                .expires_with::<ApprovalExpired>()
                .emits_one_of::<(PriceApproved, PriceRefused)>()
        })
        .react("ask-price", on(ask_price).emits_one_of::<(PriceSettled, PriceAsked)>().schedules::<ApprovalExpired>())
        .react("add-up", on(add_up).may_emit::<AllHeld>())
        .react("confirm-trip", on(confirm).decides::<TripConfirmed>())
        .react(
            "cancel-trip",
            on(cancel::<SeatRefused>)
                .or(cancel::<RoomRefused>)
                .or(cancel::<PriceRefused>)
                .or(cancel::<ApprovalExpired>)
                .or(cancel::<HoldExpired>)
                .or(cancel::<TicketsRefused>)
                .or(cancel::<TripOverdue>)
                .decides::<TripCancelled>(),
        )
        .react(
            "note",
            on(note::<RoomBooked>)
                .or(note::<CarBooked>)
                .or(note::<SeatReleased>)
                .or(note::<RoomReleased>)
                .or(note::<CarReleased>)
                .or(note::<TicketsRefunded>),
        )
}

/// Runs the service until `shutdown`.
///
/// # Errors
///
/// When a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let routes = |app: &App<()>| http::router(app).merge(process::summary(app.db().clone(), store::SUMMARY));
        process::run(service(), config, listener, routes, shutdown).await
    })
}
