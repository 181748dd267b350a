//! The shop's stock: it holds what is ordered, and never sells what it doesn't have.
//!
//! [`service`] is its part of the choreography; [`run`] serves it with its HTTP API.

mod domain;
mod http;
mod reactions;
mod store;

use anyhow::Context as _;
use contracts::{
    inventory::{StockRejected, StockReleased, StockReserved},
    order::OrderCancelled,
};
use pavane::{Config, Tuning, any::Service, on, undo};
use tokio::net::TcpListener;
use web::{Running, Shutdown};

use crate::reactions::{give_up, release_stock, reserve_stock, ship_stock};

pub use crate::http::SetStock;
pub use crate::store::Stock;

/// The service's name: it owns the events `inventory.*`.
pub const NAME: &str = "inventory";

/// The service's state: none but its database.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inventory;

/// The service's part of the choreography.
pub fn service(state: Inventory) -> Service<Inventory> {
    Service::new(NAME, state)
        .migrations(sqlx::migrate!())
        .react(
            "reserve-stock",
            on(reserve_stock)
                .emits_one_of::<(StockReserved, StockRejected)>()
                .gives_up_with(give_up)
                .tuned(one_transaction),
        )
        .react(
            "release-stock",
            undo(release_stock).when::<OrderCancelled>().emits::<StockReleased>().tuned(one_transaction),
        )
        .react("ship-stock", on(ship_stock).tuned(one_transaction))
}

/// Stock changes in one transaction at a time (see the store), so a second one would only wait, holding a connection.
fn one_transaction(tuning: &mut Tuning) {
    tuning.concurrency = Some(1);
}

/// Connects to the NATS server and the database, and runs reactions and HTTP side by side until `shutdown`.
///
/// # Errors
///
/// When a setting can't be used, a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let app = service(Inventory).connect(config).await.context("failed to start the service")?;
        let routes = http::router(app.db().clone());
        web::run(app, listener, routes, shutdown).await
    })
}
