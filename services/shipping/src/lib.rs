//! The shop's parcels: it finds a carrier for each order, and hands the parcel over once the order is confirmed.
//!
//! [`service`] is its part of the choreography; [`run`] serves it with its HTTP API.

mod domain;
mod http;
mod reactions;
mod store;

use anyhow::Context as _;
use contracts::{
    order::OrderCancelled,
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use pavane::{Config, any::Service, on, undo};
use tokio::net::TcpListener;
use web::{Running, Shutdown};

use crate::reactions::{cancel_shipment, create_shipment, dispatch_shipment, give_up};

pub use crate::domain::Status;
pub use crate::store::{Count, Shipment};

/// The service's name: it owns the events `shipping.*`.
pub const NAME: &str = "shipping";

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

/// Connects to the NATS server and the database, and runs reactions and HTTP side by side until `shutdown`.
///
/// # Errors
///
/// When a setting can't be used, a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let app = service(Shipping).connect(config).await.context("failed to start the service")?;
        let routes = http::router(app.db().clone());
        web::run(app, listener, routes, shutdown).await
    })
}
