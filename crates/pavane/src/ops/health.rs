//! Health, readiness and metrics.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use pavane_bus::Bus;
use pavane_inbox::metric::{HANDLER_SECONDS, HANDLER_SECONDS_BUCKETS};
use pavane_outbox::Database;
use serde::Serialize;
use tokio_util::task::AbortOnDropHandle;

use super::gauges::Gauges;
use crate::{database::Readiness, metric};

/// Routes for operators: `/healthz` (the process answers), `/readyz` (503 with what is missing, or 200; in both cases with
/// warnings) and `/metrics` (Prometheus text). Merge them into your own, or serve them on a port of their own.
///
/// As long as the router is there, what histograms gather is condensed, also where nobody scrapes `/metrics`.
///
/// # Errors
///
/// When the process has another metrics recorder than ours.
///
/// # Panics
///
/// When there is no Tokio runtime.
pub fn router<DB: Database, B: Bus>(readiness: Readiness<DB, B>) -> Result<Router, BuildError> {
    let metrics = recorder()?;
    let gauges = Arc::new(Gauges::new(readiness.clone()));
    let condensing = AbortOnDropHandle::new(tokio::spawn(condense(metrics)));
    let shared = Arc::new((gauges, condensing));
    let render = async move || {
        shared.0.refresh().await;
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
fn recorder() -> Result<&'static PrometheusHandle, BuildError> {
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

/// Condenses what the histograms gathered, again and again: each observation is kept until then.
async fn condense(recorder: &PrometheusHandle) {
    const EVERY: Duration = Duration::from_secs(1);
    loop {
        recorder.run_upkeep();
        tokio::time::sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use pavane_bus::Memory;
    use pavane_contract::SystemClock;
    use pavane_outbox::{Config as DbConfig, Db};

    use super::*;
    use crate::{Config, any::Service};

    /// Waits until so many observations are condensed. What a histogram gathers can't be seen but here: to scrape would
    /// condense it.
    async fn condensed(observations: usize) {
        let expected = format!("count: {observations},");
        let condensed = async {
            loop {
                let recorder = format!("{:?}", recorder().unwrap());
                let distributions = recorder.split("distributions:").nth(1).unwrap();
                let distributions = distributions.split("distribution_builder:").next().unwrap();
                if distributions.contains(HANDLER_SECONDS) && distributions.contains(&expected) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), condensed).await.expect("upkeep runs without scrapes");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn histograms_are_condensed_where_nobody_scrapes() {
        let db: Db<sqlx::Any> = Db::open(DbConfig::new("bank", "sqlite::memory:")).await.unwrap();
        let bus = Memory::new(Arc::new(SystemClock));
        let app = Service::new("bank", ()).connect_to(db, bus, Config::new("")).await.unwrap();
        let router = router(app.readiness()).unwrap();
        let histogram = metrics::histogram!(HANDLER_SECONDS, "service" => "bank", "reaction" => "pay");
        for observations in 1..=2 {
            histogram.record(0.1);
            condensed(observations).await;
        }
        drop(router);
    }
}
