//! Single events, with their bodies: without personal data, except for a person who gives a reason.

use axum::{
    Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
};
use pavane::contract::SystemClock;
use pavane_observe::{StoredMessage, event_at};
use web::{PROBLEM_JSON, Problem};

use super::{because, failed, sagas::Decided, unreadable_body, unreadable_path};
use crate::{Monitor, access::Person};

/// Shows one event: headers and body, without personal data.
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
    let event = event.ok_or_else(|| gone(sequence))?;
    Ok(Json(event.redacted(&*monitor.observer.view().await)))
}

/// Shows one event as it is stored, personal data included. Who looked and why is recorded as an event.
#[utoipa::path(post, path = "/api/events/{sequence}/reveal", params(("sequence" = u64, Path)), request_body = Decided,
    responses((status = 200, body = StoredMessage), (status = "4XX", body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn reveal(
    person: Person,
    State(monitor): State<Monitor>,
    path: Result<Path<u64>, PathRejection>,
    body: Result<Json<Decided>, JsonRejection>,
) -> Result<Json<StoredMessage>, Problem> {
    let Path(sequence) = path.map_err(|rejection| unreadable_path(&rejection))?;
    let Json(Decided { reason }) = body.map_err(|rejection| unreadable_body(&rejection))?;
    let because = because(person, &reason)?;
    let event = event_at(&monitor.bus, sequence).await.map_err(|error| failed(&error))?;
    let revealed = event.ok_or_else(|| gone(sequence))?.reveal(&monitor.bus, &SystemClock, &because).await;
    Ok(Json(revealed.map_err(|error| failed(&error))?.0))
}

fn gone(sequence: u64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("event {sequence} is not there any more"))
}
