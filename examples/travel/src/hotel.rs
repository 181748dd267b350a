//! The hotel service: a room, held for as long as the trip asks.
//!
//! | event | reaction | emits |
//! |---|---|---|
//! | trip requested | asks the hotel to hold a room | `RoomHeld` or `RoomRefused`; later `HoldExpired` |
//! | trip cancelled | releases it, and cancels the timer | `RoomReleased` |
//! | trip confirmed | books it, and cancels the timer | `RoomBooked` |

mod reactions;
mod store;

use pavane::{Config, on_effect, postgres::Service, undo_effect};
use tokio::net::TcpListener;
use web::{Running, Shutdown};

use crate::{
    contracts::{HoldExpired, RoomBooked, RoomHeld, RoomRefused, RoomReleased, TripCancelled},
    process,
    provider::Client,
};

/// What the reactions work with.
#[derive(Debug)]
pub struct Hotel {
    provider: Client,
}

impl Hotel {
    /// A hotel service that books with this provider.
    pub const fn new(provider: Client) -> Self {
        Self { provider }
    }
}

/// The service's part of the choreography.
pub fn service(hotel: Hotel) -> Service<Hotel> {
    let (key_life, patience) = (hotel.provider.key_life(), hotel.provider.patience());
    Service::new("hotel", hotel)
        .migrations(sqlx::migrate!("migrations/hotel"))
        .react(
            "hold-room",
            on_effect(reactions::hold, reactions::record_hold)
                .emits_one_of::<(RoomHeld, RoomRefused)>()
                .schedules::<HoldExpired>()
                .key_lives(key_life)
                .look_up(reactions::find_hold)
                .tuned(patience),
        )
        .react(
            "release-room",
            undo_effect(reactions::release, reactions::record_release)
                .when::<TripCancelled>()
                .emits::<RoomReleased>()
                .tuned(patience),
        )
        .react("book-room", on_effect(reactions::book, reactions::record_booking).emits::<RoomBooked>().tuned(patience))
}

/// Runs the service until `shutdown`.
///
/// # Errors
///
/// When a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, provider: Client, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let routes = |app: &pavane::postgres::App<Hotel>| process::summary(app.db().clone(), store::SUMMARY);
        process::run(service(Hotel::new(provider)), config, listener, routes, shutdown).await
    })
}
