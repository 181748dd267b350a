//! The flight service: a seat for each passenger.
//!
//! | event | reaction | emits |
//! |---|---|---|
//! | trip requested | wants a seat for each passenger: items | `SeatWanted`, for each |
//! | seat wanted | asks the airline to hold it | `SeatHeld` or `SeatRefused` |
//! | trip cancelled | releases each seat that is held | `SeatReleased` |
//! | trip confirmed | notes that the seats are the passengers': they have tickets | |

mod reactions;
mod store;

use pavane::{Config, on, on_effect, postgres::Service, undo_effect};
use tokio::net::TcpListener;
use web::{Running, Shutdown};

use crate::{
    contracts::{SeatHeld, SeatRefused, SeatReleased, SeatWanted, TripCancelled},
    process,
    provider::Client,
};

/// What the reactions work with.
#[derive(Debug)]
pub struct Flight {
    airline: Client,
}

impl Flight {
    /// A flight service that books with this airline.
    pub const fn new(airline: Client) -> Self {
        Self { airline }
    }
}

/// The service's part of the choreography.
pub fn service(flight: Flight) -> Service<Flight> {
    let (key_life, patience) = (flight.airline.key_life(), flight.airline.patience());
    Service::new("flight", flight)
        .migrations(sqlx::migrate!("migrations/flight"))
        .react("split", on(reactions::split).emits_each::<SeatWanted>())
        .react(
            "hold-seat",
            on_effect(reactions::hold, reactions::record_hold)
                .emits_one_of::<(SeatHeld, SeatRefused)>()
                .key_lives(key_life)
                .look_up(reactions::find_hold)
                .tuned(patience),
        )
        .react(
            "release-seat",
            undo_effect(reactions::release, reactions::record_release)
                .when::<TripCancelled>()
                .emits::<SeatReleased>()
                .tuned(patience),
        )
        .react("keep-seats", on(reactions::keep))
}

/// Runs the service until `shutdown`.
///
/// # Errors
///
/// When a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, airline: Client, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let routes = |app: &pavane::postgres::App<Flight>| process::summary(app.db().clone(), store::SUMMARY);
        process::run(service(Flight::new(airline)), config, listener, routes, shutdown).await
    })
}
