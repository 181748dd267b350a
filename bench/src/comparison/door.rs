//! The HTTP door of a baseline's coordinator.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use nix::sys::signal::{Signal, raise};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::order::Order;

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ending {
    /// Paid, and on its way.
    Confirmed,
    /// As if it had never been placed.
    Cancelled,
}

/// What makes an order happen.
pub(crate) trait Coordinate: Send + Sync + 'static {
    /// Carries an order out; returns when its end is certain.
    fn place(&self, order: Order) -> impl Future<Output = Result<Ending>> + Send;

    /// How an order ended whose answer was lost; `None` when it hasn't.
    fn ending(&self, order_id: &str) -> impl Future<Output = Result<Option<Ending>>> + Send;

    /// Where the coordinator dies when it is told to.
    fn crash_point(&self) -> &CrashPoint;
}

/// The moment between the two phases, or between a step and its log record: where a coordinator that dies leaves most behind.
#[derive(Debug, Default)]
pub(crate) struct CrashPoint(AtomicBool);

impl CrashPoint {
    /// Kills this process by SIGKILL if it was told to die here.
    pub(crate) fn reach(&self) {
        if self.0.load(Ordering::Relaxed)
            && let Err(error) = raise(Signal::SIGKILL)
        {
            tracing::error!(%error, "failed to die");
        }
    }

    fn arm(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers requests until the process ends.
///
/// # Errors
///
/// When the listener fails.
pub(crate) async fn serve<C: Coordinate>(listener: TcpListener, coordinator: C) -> Result<()> {
    let router = Router::new()
        .route("/orders", post(place::<C>))
        .route("/orders/{id}", get(show::<C>))
        .route("/crash", post(async |State(coordinator): State<Arc<C>>| coordinator.crash_point().arm()))
        .route("/readyz", get(async || "ready"))
        .with_state(Arc::new(coordinator));
    axum::serve(listener, router).await.context("the listener failed")
}

async fn place<C: Coordinate>(
    State(coordinator): State<Arc<C>>,
    Json(order): Json<Order>,
) -> Result<Json<Ending>, StatusCode> {
    // In a task of its own: a customer who hangs up must not stop an order half way.
    let placed = tokio::spawn(async move { coordinator.place(order).await }).await;
    placed.map_err(anyhow::Error::from).flatten().map(Json).map_err(|error| failed(&error))
}

async fn show<C: Coordinate>(
    State(coordinator): State<Arc<C>>,
    Path(order_id): Path<String>,
) -> Result<Json<Option<Ending>>, StatusCode> {
    coordinator.ending(&order_id).await.map(Json).map_err(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> StatusCode {
    tracing::warn!("an order failed: {error:#}");
    StatusCode::SERVICE_UNAVAILABLE
}
