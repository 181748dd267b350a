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
mod problem;
mod reactions;
mod settings;
mod store;
mod view;

use std::{future::Future, sync::Arc, time::Duration};

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
    on, ops,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use settings::{Error as SettingsError, Settings};

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

/// Connects to the NATS server and the database, and runs until `shutdown`, as [`serve`] does.
///
/// # Errors
///
/// When a setting can't be used, or a server isn't there.
pub async fn run(
    config: Config,
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let app = service(Orders::default()).connect(config).await.context("failed to start the service")?;
    serve(app, settings, listener, shutdown).await
}

/// Runs a connected service and answers HTTP requests until `shutdown`: then takes no more requests, answers those under
/// way, and lets the app finish its events.
///
/// # Errors
///
/// When the process can't record metrics, or the listener fails.
pub async fn serve<B: Bus>(
    app: App<Orders, B>,
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let stopping = CancellationToken::new();
    let shop = Arc::new(Shop::new(&app, settings, stopping.clone()));
    let forgetting = idempotency::forget_regularly(app.db().clone(), stopping.clone());
    let at_shutdown = stopping.clone();
    let _until_shutdown = AbortOnDropHandle::new(tokio::spawn(async move {
        shutdown.await;
        at_shutdown.cancel();
    }));
    let served = async {
        let served = ops::run(app, listener, http::router(shop), stopping.clone().cancelled_owned()).await;
        stopping.cancel();
        served.context("failed to run the service")
    };
    let (served, ()) = tokio::join!(served, forgetting);
    served
}
