//! Health, readiness and metrics.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use pavane_bus::Bus;
use pavane_inbox::metric::{HANDLER_SECONDS, HANDLER_SECONDS_BUCKETS};
use pavane_outbox::Database;
use serde::Serialize;

use super::gauges::Gauges;
use crate::{database::Readiness, metric};

/// Routes for operators: `/healthz` (the process answers), `/readyz` (503 with what is missing, or 200; in both cases
/// with warnings) and `/metrics`
/// (Prometheus text).
///
/// [`run`](super::run) serves them and condenses what the histograms gathered. Where they are served by other means, only a
/// scrape of `/metrics` does so.
///
/// # Errors
///
/// When the process has another metrics recorder than ours.
pub fn router<DB: Database, B: Bus>(readiness: Readiness<DB, B>) -> Result<Router, BuildError> {
    let metrics = recorder()?;
    let gauges = Arc::new(Gauges::new(readiness.clone()));
    let render = async move || {
        gauges.refresh().await;
        metrics.render()
    };
    Ok(Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz::<DB, B>))
        .route("/metrics", get(render))
        .with_state(readiness))
}

#[derive(Serialize)]
struct Probed {
    ready: bool,
    missing: Vec<String>,
    warnings: Vec<String>,
}

async fn readyz<DB: Database, B: Bus>(State(readiness): State<Readiness<DB, B>>) -> impl IntoResponse {
    let missing = readiness.missing().await;
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Probed { ready: missing.is_empty(), missing, warnings: readiness.warnings() }))
}

/// The process's one recorder.
pub(super) fn recorder() -> Result<&'static PrometheusHandle, BuildError> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    static INSTALLING: Mutex<()> = Mutex::new(());
    // Several services may start in one process at once, and the second recorder would be refused.
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = RECORDER.get() {
        return Ok(handle);
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(HANDLER_SECONDS.to_owned()), &HANDLER_SECONDS_BUCKETS)?
        .install_recorder()?;
    metric::describe();
    Ok(RECORDER.get_or_init(|| handle))
}

/// Condenses what the histograms gathered, again and again: each observation is kept until then, also where nobody scrapes.
pub(super) async fn upkeep() -> Result<Infallible, BuildError> {
    const EVERY: Duration = Duration::from_secs(1);
    let recorder = recorder()?;
    loop {
        recorder.run_upkeep();
        tokio::time::sleep(EVERY).await;
    }
}
