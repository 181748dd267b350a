//! Health and readiness.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Monitor;

/// Whether the monitor has read everything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Whether it has.
    ready: bool,
    /// What is missing, if it hasn't.
    missing: Vec<String>,
}

/// Answers as long as the process does.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn healthz() -> &'static str {
    "ok"
}

/// Says whether everything in the streams has been read, and can be.
#[utoipa::path(get, path = "/readyz", responses((status = 200, body = Ready), (status = 503, body = Ready)))]
pub(crate) async fn readyz(State(monitor): State<Monitor>) -> (StatusCode, Json<Ready>) {
    let mut missing: Vec<String> = monitor.observer.trouble().into_iter().collect();
    let overview = monitor.observer.view().await.overview();
    if !overview.loaded {
        missing.push(format!("what was in the streams is still being read: {} events so far", overview.events));
    }
    if monitor.stopping.is_cancelled() {
        missing.push("the monitor is stopping".to_owned());
    }
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready: missing.is_empty(), missing }))
}
