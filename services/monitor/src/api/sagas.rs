//! Sagas: lists of summaries, and single sagas in full.

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use pavane::{SagaId, contract::SystemClock};
use pavane_observe::{
    Filter, Page, SagaReport, SagaSummary, View, audit, event_at,
    report::{Decision, Question},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{PROBLEM_JSON, Problem};

use super::{because, failed, unreadable_body, unreadable_query};
use crate::{Monitor, access::Person, export};

/// Sagas on one page.
const PAGE_MAX: usize = 500;

/// Lists sagas, the newest first. All given conditions must hold.
#[utoipa::path(get, path = "/api/sagas", params(Filter),
    responses((status = 200, body = Page), (status = 400, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn list(
    State(monitor): State<Monitor>,
    query: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(mut filter) = query.map_err(|rejection| unreadable_query(&rejection))?;
    filter.limit = filter.limit.min(PAGE_MAX);
    Ok(Json(monitor.observer.view().await.sagas(&filter)))
}

/// Lists the sagas that have waited for longer than `stuck_after` or need a decision, the longest wait first.
#[utoipa::path(get, path = "/api/stuck", responses((status = 200, body = Vec<SagaSummary>)))]
pub(super) async fn stuck(State(monitor): State<Monitor>) -> Json<Vec<SagaSummary>> {
    let mut stuck = monitor.observer.view().await.stuck();
    stuck.truncate(PAGE_MAX);
    Json(stuck)
}

/// Lists the questions that wait for a person, the oldest first.
#[utoipa::path(get, path = "/api/questions", responses((status = 200, body = Vec<Question>)))]
pub(super) async fn questions(State(monitor): State<Monitor>) -> Json<Vec<Question>> {
    let mut questions = monitor.observer.view().await.questions();
    questions.truncate(PAGE_MAX);
    Json(questions)
}

/// One saga, with everything that is known about it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Saga {
    /// The report.
    report: SagaReport,
    /// Its trace, by its first event.
    trace: Option<String>,
    /// Where that trace is shown.
    trace_url: Option<String>,
    /// Other sagas with the same key.
    #[schema(value_type = Vec<String>)]
    also: Vec<SagaId>,
}

/// Shows one saga: its timeline, what it waits for, what was done and undone, and what was not declared.
#[utoipa::path(get, path = "/api/sagas/{saga}",
    params(("saga" = String, Path, description = "Its id, the id of one of its events, or its key")),
    responses((status = 200, body = Saga), (status = 404, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn show(State(monitor): State<Monitor>, Path(wanted): Path<String>) -> Result<Json<Saga>, Problem> {
    let (report, also) = found(&*monitor.observer.view().await, &wanted)?;
    // If the message can't be read, only the link to the trace is missing.
    let trace = match report.timeline.first() {
        Some(first) => event_at(&monitor.bus, first.sequence).await.ok().flatten().and_then(|first| first.trace()),
        None => None,
    };
    let trace_url = trace.as_deref().and_then(|trace| monitor.settings.link_to(trace));
    Ok(Json(Saga { report, trace, trace_url, also }))
}

/// Selects the service of a test case.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct For {
    /// The service that is tested: it gets the recorded events, and must emit what it emitted.
    service: String,
}

/// Exports a saga, as one service saw it, as a test case for `pavane-testkit`, without personal data.
#[utoipa::path(get, path = "/api/sagas/{saga}/test-case", params(("saga" = String, Path), For),
    responses((status = 200, body = String, content_type = "text/plain", description = "Rust"),
        (status = 400, body = Problem, content_type = PROBLEM_JSON),
        (status = 404, body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn test_case(
    State(monitor): State<Monitor>,
    Path(wanted): Path<String>,
    query: Result<Query<For>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(For { service }) = query.map_err(|rejection| unreadable_query(&rejection))?;
    let recording = {
        let view = monitor.observer.view().await;
        let (report, _) = found(&view, &wanted)?;
        export::Recording::of(&view, &report, &service)
    };
    let recording = recording
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("{service} reacted to nothing in this saga")))?;
    let events = recording.read(&monitor.bus).await.map_err(|error| failed(&error))?;
    let source = recording.source(&events, &*monitor.observer.view().await);
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], source).into_response())
}

/// The reason of a decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decided {
    /// Why.
    pub(super) reason: String,
}

/// Records that nothing more has to happen in a saga. The decision is kept as an event.
#[utoipa::path(post, path = "/api/sagas/{saga}/resolve", params(("saga" = String, Path)), request_body = Decided,
    responses((status = 200, body = Decision), (status = "4XX", body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn resolve(
    person: Person,
    State(monitor): State<Monitor>,
    Path(wanted): Path<String>,
    body: Result<Json<Decided>, JsonRejection>,
) -> Result<Json<Decision>, Problem> {
    let Json(Decided { reason }) = body.map_err(|rejection| unreadable_body(&rejection))?;
    let because = because(person, &reason)?;
    let (report, _) = found(&*monitor.observer.view().await, &wanted)?;
    let decision = audit::resolve(&monitor.bus, &SystemClock, report.summary.saga, &because).await;
    Ok(Json(decision.map_err(|error| failed(&error))?))
}

/// The saga with an id or key, and the other sagas with it.
pub(super) fn found(view: &View, wanted: &str) -> Result<(SagaReport, Vec<SagaId>), Problem> {
    let by_id = wanted.parse::<SagaId>().ok().and_then(|saga| view.saga(saga));
    if let Some(report) = by_id {
        return Ok((report, Vec::new()));
    }
    let mut sagas = view.find(wanted).into_iter();
    let report = sagas.next().and_then(|saga| view.saga(saga));
    let report = report.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("no saga, event or key {wanted:?} is known (any more)"))
    })?;
    Ok((report, sagas.take(PAGE_MAX).collect()))
}
