//! Dead letters: listing and discarding them.

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::StatusCode,
};
use pavane::{SagaId, contract::SystemClock};
use pavane_observe::{
    Error, LetterFilter, StoredMessage, dead_letter_at, redrive,
    report::{DeadLetter, DeadLetterGroup},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{FieldError, PROBLEM_JSON, Problem};

use super::{because, failed, sagas::Decided, unreadable_body, unreadable_path, unreadable_query};
use crate::{Monitor, access::Person};

/// Letters on one page.
const PAGE_MAX: usize = 500;
/// The most letters that one request may select.
pub(super) const SELECTED_MAX: usize = 10_000;

/// Selects dead letters: all given conditions must hold.
#[derive(Debug, Default, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Conditions {
    /// The service that gave up.
    service: Option<String>,
    /// The reaction that gave up.
    reaction: Option<String>,
    /// The event's name.
    event: Option<String>,
    /// A part of the cause.
    cause: Option<String>,
    /// The id of a group.
    group: Option<String>,
    /// The saga.
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    saga: Option<SagaId>,
    /// Whether to include letters with a decision.
    decided: bool,
}

impl Conditions {
    fn filter(self) -> LetterFilter {
        let Self { service, reaction, event, cause, group, saga, decided } = self;
        let mut filter = LetterFilter::default();
        (filter.service, filter.reaction, filter.event) = (service, reaction, event);
        (filter.cause, filter.group, filter.saga, filter.decided) = (cause, group, saga, decided);
        filter
    }
}

/// A page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeadLetters {
    /// The letters, the oldest first.
    letters: Vec<DeadLetter>,
    /// How many were selected.
    total: usize,
}

/// Lists dead letters, the oldest first.
#[utoipa::path(get, path = "/api/dead-letters", params(Conditions),
    responses((status = 200, body = DeadLetters), (status = 400, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn list(
    State(monitor): State<Monitor>,
    query: Result<Query<Conditions>, QueryRejection>,
) -> Result<Json<DeadLetters>, Problem> {
    let Query(conditions) = query.map_err(|rejection| unreadable_query(&rejection))?;
    let mut letters = monitor.observer.view().await.dead_letters(&conditions.filter());
    let total = letters.len();
    letters.truncate(PAGE_MAX);
    Ok(Json(DeadLetters { letters, total }))
}

/// Groups dead letters by service, reaction and cause, the largest group first.
#[utoipa::path(get, path = "/api/dead-letter-groups", params(Conditions),
    responses((status = 200, body = Vec<DeadLetterGroup>), (status = 400, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn groups(
    State(monitor): State<Monitor>,
    query: Result<Query<Conditions>, QueryRejection>,
) -> Result<Json<Vec<DeadLetterGroup>>, Problem> {
    let Query(conditions) = query.map_err(|rejection| unreadable_query(&rejection))?;
    Ok(Json(monitor.observer.view().await.dead_letter_groups(&conditions.filter())))
}

/// One dead letter with its event.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Opened {
    /// What is known about it.
    letter: Option<DeadLetter>,
    /// What is stored: headers and body, without personal data.
    message: StoredMessage,
}

/// Shows one dead letter: headers and body, without personal data.
#[utoipa::path(get, path = "/api/dead-letters/{sequence}", params(("sequence" = u64, Path)),
    responses((status = 200, body = Opened), (status = 400, body = Problem, content_type = PROBLEM_JSON),
        (status = 404, body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn show(
    State(monitor): State<Monitor>,
    path: Result<Path<u64>, PathRejection>,
) -> Result<Json<Opened>, Problem> {
    let Path(sequence) = path.map_err(|rejection| unreadable_path(&rejection))?;
    let sealed = dead_letter_at(&monitor.bus, sequence).await.map_err(|error| failed(&error))?;
    let sealed = sealed.ok_or_else(|| failed(&Error::NoDeadLetter(sequence)))?;
    let view = monitor.observer.view().await;
    Ok(Json(Opened { letter: view.dead_letter(sequence), message: sealed.redacted(&view) }))
}

/// Shows one dead letter as it is stored, personal data included. Who looked and why is recorded as an event.
#[utoipa::path(post, path = "/api/dead-letters/{sequence}/reveal", params(("sequence" = u64, Path)),
    request_body = Decided,
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
    let sealed = dead_letter_at(&monitor.bus, sequence).await.map_err(|error| failed(&error))?;
    let sealed = sealed.ok_or_else(|| failed(&Error::NoDeadLetter(sequence)))?;
    let revealed = sealed.reveal(&monitor.bus, &SystemClock, &because).await;
    Ok(Json(revealed.map_err(|error| failed(&error))?.0))
}

/// Selects the dead letters of an action. At least one condition must be given.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Selection {
    /// These, by their sequences.
    sequences: Vec<u64>,
    /// The id of a group.
    group: Option<String>,
    /// The service that gave up.
    service: Option<String>,
    /// The reaction that gave up.
    reaction: Option<String>,
    /// The event's name.
    event: Option<String>,
    /// A part of the cause.
    cause: Option<String>,
    /// The saga.
    #[schema(value_type = Option<String>)]
    saga: Option<SagaId>,
}

impl Selection {
    /// The filter for the selection.
    pub(super) fn filter(self) -> Result<LetterFilter, Problem> {
        let Self { sequences, group, service, reaction, event, cause, saga } = self;
        let conditions = Conditions { service, reaction, event, cause, group, saga, decided: false };
        let mut filter = conditions.filter();
        filter.sequences = sequences;
        if filter == LetterFilter::default() {
            return Err(Problem::bad_request("selection", "say which dead letters are meant"));
        }
        Ok(filter)
    }
}

/// What to discard, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Discard {
    /// Which dead letters.
    selection: Selection,
    /// Why.
    reason: String,
}

/// The result of a discard.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct DiscardResult {
    /// How many letters were discarded.
    discarded: usize,
    /// How many could not be discarded.
    failed: usize,
    /// Why the last of these could not.
    error: Option<String>,
}

/// Discards dead letters: records who decided so and why, and deletes them.
#[utoipa::path(post, path = "/api/discards", request_body = Discard,
    responses((status = 200, body = DiscardResult), (status = "4XX", body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON)))]
pub(super) async fn discard(
    person: Person,
    State(monitor): State<Monitor>,
    body: Result<Json<Discard>, JsonRejection>,
) -> Result<Json<DiscardResult>, Problem> {
    let Json(Discard { selection, reason }) = body.map_err(|rejection| unreadable_body(&rejection))?;
    let (because, filter) = (because(person, &reason)?, selection.filter()?);
    let letters = monitor.observer.view().await.dead_letters(&filter);
    at_most(letters.len())?;
    let mut discarded = DiscardResult::default();
    for letter in letters {
        match redrive::discard(&monitor.bus, &SystemClock, &letter, &because).await {
            Ok(_) => discarded.discarded += 1,
            Err(error) => {
                tracing::warn!(dead_letter = letter.sequence, %error, "failed to discard a dead letter");
                discarded.failed += 1;
                discarded.error = Some(error.to_string());
            }
        }
    }
    Ok(Json(discarded))
}

/// Refuses a selection that is empty or too large for one request.
pub(super) fn at_most(selected: usize) -> Result<(), Problem> {
    if selected == 0 {
        return Err(Problem::new(StatusCode::NOT_FOUND, "there is no such dead letter (any more)"));
    }
    if selected > SELECTED_MAX {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "that is too much at once").naming(
            FieldError::new("selection", format!("it selects {selected} dead letters; select {SELECTED_MAX} or fewer")),
        ));
    }
    Ok(())
}
