//! Redrives of dead letters, after a check of each.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
};
use pavane_observe::{
    LetterFilter,
    audit::Because,
    redrive::{Options, Plan, Preflight},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{PROBLEM_JSON, Problem};

use super::{
    because,
    dead_letters::{Selection, at_most},
    failed,
    sagas::{Decided, found},
    unreadable_body, unreadable_path,
};
use crate::{Monitor, access::Person, redrives::Redrive};

/// How many letters of a plan are listed one by one.
const TOLD_MAX: usize = 200;
/// The default rate, in letters per second.
const PER_SECOND: u32 = 50;
/// The highest rate that can be requested.
const PER_SECOND_MAX: u32 = 1000;

/// Which dead letters to check.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Look {
    /// Which dead letters.
    selection: Selection,
    /// Redrive letters with concerns, too, except where that can't work.
    #[serde(default)]
    insist: bool,
}

/// What a redrive would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Looked {
    /// How many letters are selected.
    total: usize,
    /// Those that would be redriven.
    go: Vec<u64>,
    /// The concerns, and how many letters have each.
    concerns: BTreeMap<String, usize>,
    /// The first of them, one by one.
    letters: Vec<Preflight>,
}

/// Checks dead letters for a redrive, and changes nothing.
#[utoipa::path(post, path = "/api/redrives/preflight", request_body = Look,
    responses((status = 200, body = Looked), (status = "4XX", body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn preflight(
    State(monitor): State<Monitor>,
    body: Result<Json<Look>, JsonRejection>,
) -> Result<Json<Looked>, Problem> {
    let Json(Look { selection, insist }) = body.map_err(|rejection| unreadable_body(&rejection))?;
    let plan = plan(&monitor, selection.filter()?, insist).await?;
    let (total, concerns) = (plan.letters.len(), plan.concerns());
    let go = plan.letters.iter().filter(|it| it.go).map(|it| it.letter.sequence).collect();
    let mut letters = plan.letters;
    letters.truncate(TOLD_MAX);
    Ok(Json(Looked { total, go, concerns, letters }))
}

/// What to redrive and how, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// Which dead letters.
    selection: Selection,
    /// Why.
    reason: String,
    /// Most letters in a second, 1 to 1000. Default 50.
    per_second: Option<u32>,
    /// Do everything but publish.
    #[serde(default)]
    dry_run: bool,
    /// Redrive letters with concerns, too, except where that can't work.
    #[serde(default)]
    insist: bool,
}

/// Starts a redrive.
#[utoipa::path(post, path = "/api/redrives", request_body = Start,
    responses((status = 202, body = Redrive), (status = "4XX", body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn start(
    person: Person,
    State(monitor): State<Monitor>,
    body: Result<Json<Start>, JsonRejection>,
) -> Result<(StatusCode, Json<Redrive>), Problem> {
    let Json(start) = body.map_err(|rejection| unreadable_body(&rejection))?;
    let because = because(person, &start.reason)?;
    let mut options = Options::default();
    (options.per_second, options.dry_run) = (start.per_second.unwrap_or(PER_SECOND), start.dry_run);
    if !(1..=PER_SECOND_MAX).contains(&options.per_second) {
        return Err(Problem::bad_request("per_second", format!("use 1 to {PER_SECOND_MAX}")));
    }
    let plan = plan(&monitor, start.selection.filter()?, start.insist).await?;
    accepted(&monitor, plan, options, because).await
}

/// Runs the undos of a saga again that gave up, because of which the saga needs review: redrives their dead letters.
#[utoipa::path(post, path = "/api/sagas/{saga}/retry-undo", params(("saga" = String, Path)), request_body = Decided,
    responses((status = 202, body = Redrive), (status = "4XX", body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn retry_undo(
    person: Person,
    State(monitor): State<Monitor>,
    Path(wanted): Path<String>,
    body: Result<Json<Decided>, JsonRejection>,
) -> Result<(StatusCode, Json<Redrive>), Problem> {
    let Json(Decided { reason }) = body.map_err(|rejection| unreadable_body(&rejection))?;
    let because = because(person, &reason)?;
    let undos = {
        let view = monitor.observer.view().await;
        view.failed_undos(found(&view, &wanted)?.0.summary.saga)
    };
    let undos = undos.ok_or_else(|| Problem::new(StatusCode::CONFLICT, "no undo of this saga was given up on"))?;
    let plan = plan(&monitor, undos, false).await?;
    if plan.go() == 0 {
        let why = plan.concerns().into_keys().collect::<Vec<_>>().join("; ");
        return Err(Problem::new(StatusCode::CONFLICT, format!("it can't be retried: {why}")));
    }
    accepted(&monitor, plan, Options::default(), because).await
}

async fn accepted(
    monitor: &Monitor,
    plan: Plan,
    options: Options,
    because: Because,
) -> Result<(StatusCode, Json<Redrive>), Problem> {
    let redrive = monitor.redrives.start(monitor.bus.clone(), plan, options, because).await;
    let redrive = redrive.map_err(|error| Problem::new(StatusCode::CONFLICT, error))?;
    Ok((StatusCode::ACCEPTED, Json(redrive)))
}

/// Lists the running redrives and the last ones, the newest first.
#[utoipa::path(get, path = "/api/redrives", responses((status = 200, body = Vec<Redrive>)))]
pub(super) async fn list(State(monitor): State<Monitor>) -> Json<Vec<Redrive>> {
    Json(monitor.redrives.all().await)
}

/// Shows how far a redrive has come.
#[utoipa::path(get, path = "/api/redrives/{id}", params(("id" = u64, Path)),
    responses((status = 200, body = Redrive), (status = 400, body = Problem, content_type = PROBLEM_JSON),
        (status = 404, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn show(
    State(monitor): State<Monitor>,
    path: Result<Path<u64>, PathRejection>,
) -> Result<Json<Redrive>, Problem> {
    let Path(id) = path.map_err(|rejection| unreadable_path(&rejection))?;
    monitor.redrives.get(id).await.map(Json).ok_or_else(|| unknown(id))
}

/// Stops a redrive between two letters. What was not redriven is still a dead letter.
#[utoipa::path(post, path = "/api/redrives/{id}/cancel", params(("id" = u64, Path)),
    responses((status = 200, body = Redrive), (status = "4XX", body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn cancel(
    _: Person,
    State(monitor): State<Monitor>,
    path: Result<Path<u64>, PathRejection>,
) -> Result<Json<Redrive>, Problem> {
    let Path(id) = path.map_err(|rejection| unreadable_path(&rejection))?;
    monitor.redrives.cancel(id).await.map(Json).ok_or_else(|| unknown(id))
}

async fn plan(monitor: &Monitor, filter: LetterFilter, insist: bool) -> Result<Plan, Problem> {
    let mut plan = monitor.observer.view().await.plan(&filter);
    at_most(plan.letters.len())?;
    plan.look_at_bodies(&monitor.bus).await.map_err(|error| failed(&error))?;
    if insist {
        plan.insist();
    }
    Ok(plan)
}

fn unknown(id: u64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("redrive {id} is not known (any more)"))
}
