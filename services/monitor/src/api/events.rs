//! Single events, with their bodies.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use pavane::ops::{PROBLEM_JSON, Problem};
use pavane_observe::{StoredMessage, event_at};

use super::{failed, unreadable_path};
use crate::Monitor;

/// Shows one event as it is stored: headers and body.
#[utoipa::path(get, path = "/api/events/{sequence}", params(("sequence" = u64, Path)),
    responses((status = 200, body = StoredMessage), (status = 400, body = Problem, content_type = PROBLEM_JSON),
        (status = 404, body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn show(
    State(monitor): State<Monitor>,
    path: Result<Path<u64>, PathRejection>,
) -> Result<Json<StoredMessage>, Problem> {
    let Path(sequence) = path.map_err(|rejection| unreadable_path(&rejection))?;
    let event = event_at(&monitor.bus, sequence).await.map_err(|error| failed(&error))?;
    event
        .map(Json)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("event {sequence} is not there any more")))
}
