//! The system as a whole, now and live.

use std::convert::Infallible;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response, Sse, sse::KeepAlive},
};
use futures_util::StreamExt as _;
use pavane_observe::report::Overview;
use web::{PROBLEM_JSON, Problem};

use crate::{Monitor, access::Visitor};

/// The header of a browser that reconnects.
const LAST_EVENT_ID: &str = "last-event-id";

/// Shows how many sagas there are in each state and at each step, how fast they come, and which events made them fail.
#[utoipa::path(get, path = "/api/overview", responses((status = 200, body = Overview)))]
pub(super) async fn overview(State(monitor): State<Monitor>) -> Json<Overview> {
    Json(monitor.observer.view().await.overview())
}

/// What the sender of the request may do here.
#[utoipa::path(get, path = "/api/access", responses((status = 200, body = Visitor)))]
pub(super) async fn access(visitor: Visitor) -> Json<Visitor> {
    Json(visitor)
}

/// Streams changes: server-sent events called `beat`, each a `Beat`. A browser that reconnects sends the id of the last one that
/// it saw, and the next beat says whether it missed any.
#[utoipa::path(get, path = "/api/live",
    params(("last-event-id" = Option<String>, Header, description = "The last event that was seen")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = 503, body = Problem, content_type = PROBLEM_JSON, description = "Too many watch already")))]
pub(super) async fn live(State(monitor): State<Monitor>, headers: HeaderMap) -> Response {
    let Some(listener) = monitor.observer.live().listen() else {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many watch already").into_response();
    };
    let last_id = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let overview = monitor.observer.view().await.overview();
    let events = listener.events(overview, last_id).map(Ok::<_, Infallible>);
    // A stream that never ends must not keep the process from ending.
    Sse::new(events.take_until(monitor.stopping.cancelled_owned())).keep_alive(KeepAlive::default()).into_response()
}
