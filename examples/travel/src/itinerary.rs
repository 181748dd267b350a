//! The itinerary service: writes to the traveller, once the trip has ended.
//!
//! | event | reaction |
//! |---|---|
//! | trip confirmed | writes an itinerary |
//! | trip cancelled | writes an apology |

mod store;

use pavane::{
    Config, Envelope, Handled, on,
    postgres::{App, Service, Tx},
};
use serde_json::json;
use tokio::net::TcpListener;
use web::{Running, Shutdown};

use crate::{
    contracts::{TripCancelled, TripConfirmed},
    process,
};

/// The service's part of the choreography.
pub fn service() -> Service<()> {
    Service::new("itinerary", ())
        .migrations(sqlx::migrate!("migrations/itinerary"))
        .react("send-itinerary", on(send_itinerary))
        .react("apologise", on(apologise))
}

async fn send_itinerary((): &(), tx: &mut Tx, confirmed: &Envelope<TripConfirmed>) -> Handled {
    let TripConfirmed { trip, wishes, has_car, total_cents } = &confirmed.body;
    let content = json!({
        "passengers": wishes.passengers, "flight": wishes.flight, "hotel": wishes.hotel,
        "car": wishes.car.as_ref().filter(|_| *has_car), "total_cents": total_cents,
    });
    Ok(store::insert(tx, *trip, "itinerary", content).await?)
}

async fn apologise((): &(), tx: &mut Tx, cancelled: &Envelope<TripCancelled>) -> Handled {
    let content = json!({ "reason": cancelled.reason });
    Ok(store::insert(tx, cancelled.trip, "apology", content).await?)
}

/// Runs the service until `shutdown`.
///
/// # Errors
///
/// When a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let routes = |app: &App<()>| process::summary(app.db().clone(), store::SUMMARY);
        process::run(service(), config, listener, routes, shutdown).await
    })
}
