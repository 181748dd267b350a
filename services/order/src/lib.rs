//! The shop's order service: takes orders, follows them through the other services' events, and decides how each ends.
//!
//! An order's end is an outcome, confirmed or cancelled; the first one committed wins. Everything else here is bookkeeping:
//! an order is the set of facts known about it (`domain`), which reactions add to (`reactions`), and which customers see
//! as a status and a history (`http`).

mod changes;
mod domain;
mod http;
mod order;
mod placement;
mod reactions;
mod settings;
mod store;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use contracts::{
    inventory::{StockRejected, StockReleased, StockReserved},
    order::{OrderCancelled, OrderConfirmed, OrderDeadlinePassed, OrderPlaced},
    payment::{PaymentAuthorized, PaymentCaptureFailed, PaymentDeclined, PaymentRefunded, PaymentVoided},
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use pavane::{
    Bus, Config, Declared, Saga,
    any::{App, Service},
    on,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use web::{Running, Shutdown};

pub use settings::Settings;

use crate::{
    changes::Changes,
    http::{Shop, idempotency},
    reactions::{cancel, confirm, track},
};

/// The longest deadline that a customer may ask for, unless a setting says otherwise.
const DEADLINE_LONGEST: Duration = Duration::from_hours(24);

/// What the reactions of one process share.
#[derive(Debug, Default)]
pub struct Orders {
    changes: Changes,
}

/// The saga that every order is.
pub fn saga() -> Saga {
    Saga::new("order")
        .starts_with::<OrderPlaced>()
        .completes_with::<OrderConfirmed>()
        .aborts_with::<OrderCancelled>()
        .within(DEADLINE_LONGEST)
}

/// The order service's part of the choreography.
pub fn service(orders: Orders) -> Service<Orders> {
    Service::new("order", orders)
        .migrations(sqlx::migrate!())
        .saga(saga())
        .entry(&http::PLACE, |entry| entry.emits::<OrderPlaced>().schedules::<OrderDeadlinePassed>())
        .entry(&http::CANCEL, Declared::decides::<OrderCancelled>)
        .react(
            "track-progress",
            on(track::<PaymentAuthorized>)
                .or(track::<StockReserved>)
                .or(track::<ShipmentCreated>)
                .or(track::<PaymentVoided>)
                .or(track::<PaymentRefunded>)
                .or(track::<StockReleased>)
                .or(track::<ShipmentCancelled>),
        )
        .react("confirm-order", on(confirm).decides::<OrderConfirmed>())
        .react(
            "cancel-order",
            on(cancel::<PaymentDeclined>)
                .or(cancel::<PaymentCaptureFailed>)
                .or(cancel::<StockRejected>)
                .or(cancel::<ShipmentRejected>)
                .or(cancel::<OrderDeadlinePassed>)
                .decides::<OrderCancelled>(),
        )
}

/// Connects to the NATS server and the database, and runs reactions and HTTP side by side until `shutdown`.
///
/// # Errors
///
/// When a setting can't be used, a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let app = service(Orders::default()).connect(config).await.context("failed to start the service")?;
        serve(app, settings, listener, shutdown).await
    })
}

/// As [`run`], with a service that is connected.
///
/// # Errors
///
/// When a setting can't be used, or the service can't go on.
pub async fn serve<B: Bus>(
    app: App<Orders, B>,
    settings: Settings,
    listener: TcpListener,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let stopping = CancellationToken::new();
    let shop = Shop::new(&app, settings, stopping.clone());
    let forgetting = idempotency::forget_regularly(app.db().clone(), stopping.clone());
    let _forgetting = AbortOnDropHandle::new(tokio::spawn(forgetting));
    let routes = http::router(Arc::new(shop));
    // Streams would go on for as long as the server waits for them.
    let shutdown = async move {
        shutdown.await;
        stopping.cancel();
    };
    web::run(app, listener, routes, shutdown).await
}
