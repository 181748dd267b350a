//! The shop's parcels: it finds a carrier for each order, and hands the parcel over once the order is confirmed.
//!
//! [`service`] is its part of the choreography; [`run`] serves it with its HTTP API.

mod domain;
mod http;
mod reactions;
mod store;

use std::{future::Future, time::Duration};

use anyhow::{Context as _, anyhow};
use contracts::{
    order::OrderCancelled,
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use pavane::{Config, Service, on, undo};
use tokio::{net::TcpListener, sync::oneshot};

use crate::reactions::{cancel_shipment, create_shipment, dispatch_shipment, give_up};

pub use crate::domain::Status;
pub use crate::http::Problem;
pub use crate::store::{Count, Shipment};

/// The service's name: it owns the events `shipping.*`.
pub const NAME: &str = "shipping";

/// How long requests under way may take at shutdown. A client that stalls must not keep the reactions from ending.
pub const HTTP_PATIENCE: Duration = Duration::from_secs(3);

/// The service's state: none but its database.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shipping;

/// The service's part of the choreography.
pub fn service(state: Shipping) -> Service<Shipping> {
    Service::new(NAME, state)
        .migrations(sqlx::migrate!())
        .react(
            "create-shipment",
            on(create_shipment).emits_one_of::<(ShipmentCreated, ShipmentRejected)>().gives_up_with(give_up),
        )
        .react("cancel-shipment", undo(cancel_shipment).when::<OrderCancelled>().emits::<ShipmentCancelled>())
        .react("dispatch-shipment", on(dispatch_shipment))
}

/// Runs the service until `shutdown`: then the requests under way are answered, for as long as [`HTTP_PATIENCE`] allows,
/// and then the reactions under way end.
///
/// # Errors
///
/// When the service can't start, with the reason, or can't listen any more.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let app =
        service(Shipping).connect(config).await.map_err(|error| anyhow!("failed to start the service: {error}"))?;
    let operators = pavane::ops::router(app.readiness()).context("failed to start the metrics")?;
    let router = http::router(app.db().clone()).merge(operators);
    let (stopping, stopped) = oneshot::channel::<()>();
    let requests = pavane::ops::serve(listener, router, async move {
        shutdown.await;
        drop(stopping);
    });
    let too_late = async {
        drop(stopped.await);
        tokio::time::sleep(HTTP_PATIENCE).await;
    };
    let mut served = Ok(());
    // The reactions outlive the requests, which need the database.
    let answered = async {
        tokio::select! {
            ended = requests => served = ended,
            () = too_late => {}
        }
    };
    app.run_until(answered).await;
    served.context("failed to serve HTTP")
}
