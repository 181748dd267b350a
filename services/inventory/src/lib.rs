//! The shop's stock: it holds what is ordered, and never sells what it doesn't have.
//!
//! [`service`] is its part of the choreography; [`run`] serves it with its HTTP API.

mod domain;
mod http;
mod reactions;
mod store;

use std::{future::Future, time::Duration};

use anyhow::{Context as _, anyhow};
use contracts::{
    inventory::{StockRejected, StockReleased, StockReserved},
    order::OrderCancelled,
};
use pavane::{Config, Service, inbox::Tuning, on, undo};
use tokio::{net::TcpListener, sync::oneshot};

use crate::reactions::{give_up, release_stock, reserve_stock, ship_stock};

pub use crate::http::{Problem, SetStock};
pub use crate::store::Stock;

/// The service's name: it owns the events `inventory.*`.
pub const NAME: &str = "inventory";

/// How long requests under way may take at shutdown. A client that stalls must not keep the reactions from ending.
pub const HTTP_PATIENCE: Duration = Duration::from_secs(3);

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
        service(Inventory).connect(config).await.map_err(|error| anyhow!("failed to start the service: {error}"))?;
    let operators = pavane::ops::router(app.readiness()).context("failed to start the metrics")?;
    // Not in the wiring table, as nothing is emitted there: counting stock is no part of any saga.
    let stocktaking = app.edge("set-stock");
    let router = http::router(app.db().clone(), stocktaking).merge(operators);
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
