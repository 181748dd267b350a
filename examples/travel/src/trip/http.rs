//! The service over HTTP: trips, and the questions that their travellers are asked.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post, put},
};
use pavane::{
    Decision, OpenQuestion,
    database::Error,
    postgres::{App, Db, Entry},
};
use serde::Deserialize;
use serde_json::{Value, json};
use web::Problem;

use super::{
    LONGEST,
    entries::{self, APPROVE, CANCEL, NewTrip, REQUEST},
    store,
};
use crate::contracts::{PriceAsked, TripId};

/// As many as fit on a ticket.
const PASSENGERS_MAX: usize = 9;

struct Desk {
    db: Db,
    request: Entry,
    cancel: Entry,
    approve: Entry,
}

type Shared = State<Arc<Desk>>;

pub(super) fn router(app: &App<()>) -> Router {
    let (request, cancel, approve) = (app.entry(&REQUEST), app.entry(&CANCEL), app.entry(&APPROVE));
    Router::new()
        .route("/trips", post(create))
        .route("/trips/{trip}", get(show))
        .route("/trips/{trip}/cancel", post(cancel_trip))
        .route("/trips/{trip}/price", put(answer))
        .route("/questions", get(questions))
        .with_state(Arc::new(Desk { db: app.db().clone(), request, cancel, approve }))
}

async fn create(State(desk): Shared, Json(new): Json<NewTrip>) -> Result<(StatusCode, Json<Value>), Problem> {
    let passengers = new.wishes.passengers.len();
    if !(1..=PASSENGERS_MAX).contains(&passengers) {
        let detail = format!("there are {passengers}: use 1 to {PASSENGERS_MAX}");
        return Err(Problem::bad_request("wishes.passengers", detail));
    }
    if Duration::from_secs(new.deadline_seconds.into()) > LONGEST {
        return Err(Problem::bad_request("deadline_seconds", format!("it is longer than {LONGEST:?}")));
    }
    let trip = entries::request(&desk.request, &new).await?;
    Ok((StatusCode::CREATED, Json(view(&desk.db, trip).await?)))
}

async fn show(State(desk): Shared, Path(trip): Path<TripId>) -> Result<Json<Value>, Problem> {
    Ok(Json(view(&desk.db, trip).await?))
}

async fn cancel_trip(State(desk): Shared, Path(trip): Path<TripId>) -> Result<Json<Value>, Problem> {
    view(&desk.db, trip).await?;
    match entries::cancel(&desk.cancel, trip).await? {
        Decision::Won => Ok(Json(view(&desk.db, trip).await?)),
        Decision::Lost => Err(Problem::new(StatusCode::CONFLICT, "the trip has ended already")),
    }
}

#[derive(Deserialize)]
struct Answer {
    by: String,
    agrees: bool,
}

async fn answer(
    State(desk): Shared,
    Path(trip): Path<TripId>,
    Json(Answer { by, agrees }): Json<Answer>,
) -> Result<StatusCode, Problem> {
    match entries::answer(&desk.approve, trip, &by, agrees).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error @ Error::NotAsked { .. }) => Err(Problem::new(StatusCode::NOT_FOUND, error)),
        Err(error @ Error::Answered { .. }) => Err(Problem::new(StatusCode::CONFLICT, error)),
        Err(error @ (Error::Expired { .. } | Error::Decided { .. } | Error::Forgotten { .. })) => {
            Err(Problem::new(StatusCode::GONE, error))
        }
        Err(error) => Err(error.into()),
    }
}

async fn questions(State(desk): Shared) -> Result<Json<Vec<Value>>, Problem> {
    let open = desk.approve.open_questions(100).await?;
    let question = |question: OpenQuestion| {
        let PriceAsked { trip, quote_cents, room_cents } = question.event.decode::<PriceAsked>()?.body;
        let expires_at = question.expires_at.map(|at| at.to_string());
        Ok(json!({ "trip": trip, "quote_cents": quote_cents, "room_cents": room_cents, "expires_at": expires_at }))
    };
    open.into_iter().map(question).collect::<Result<_, Error>>().map(Json).map_err(Problem::from)
}

async fn view(db: &Db, trip: TripId) -> Result<Value, Problem> {
    let found = store::view(db, trip).await?;
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no trip {trip}")))
}
