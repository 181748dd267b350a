//! The car service: a car, if one is wanted and there is one. A trip takes place without, too.
//!
//! | event | reaction | emits |
//! |---|---|---|
//! | trip requested | asks the rental company to hold a car | `CarHeld` or `CarUnavailable` |
//! | trip cancelled | releases it | `CarReleased` |
//! | trip confirmed | books it, if there is one | `CarBooked` |

mod reactions;
mod store;

use pavane::{Config, on_effect, postgres::Service, undo_effect};
use tokio::net::TcpListener;
use web::{Running, Shutdown};

use crate::{
    contracts::{CarBooked, CarHeld, CarReleased, CarUnavailable, TripCancelled},
    process,
    provider::Client,
};

/// What the reactions work with.
#[derive(Debug)]
pub struct Car {
    rental: Client,
}

impl Car {
    /// A car service that books with this rental company.
    pub const fn new(rental: Client) -> Self {
        Self { rental }
    }
}

/// The service's part of the choreography.
pub fn service(car: Car) -> Service<Car> {
    let (key_life, patience) = (car.rental.key_life(), car.rental.patience());
    Service::new("car", car)
        .migrations(sqlx::migrate!("migrations/car"))
        .react(
            "hold-car",
            on_effect(reactions::hold, reactions::record_hold)
                .emits_one_of::<(CarHeld, CarUnavailable)>()
                .key_lives(key_life)
                .look_up(reactions::find_hold)
                .tuned(patience),
        )
        .react(
            "release-car",
            undo_effect(reactions::release, reactions::record_release)
                .when::<TripCancelled>()
                .emits::<CarReleased>()
                .tuned(patience),
        )
        .react(
            "book-car",
            on_effect(reactions::book, reactions::record_booking).may_emit::<CarBooked>().tuned(patience),
        )
}

/// Runs the service until `shutdown`.
///
/// # Errors
///
/// When a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, rental: Client, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let routes = |app: &pavane::postgres::App<Car>| process::summary(app.db().clone(), store::SUMMARY);
        process::run(service(Car::new(rental)), config, listener, routes, shutdown).await
    })
}
