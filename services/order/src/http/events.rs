//! An order's progress as server-sent events.
//!
//! See <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use contracts::OrderId;
use futures_util::stream;
use pavane::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;
use web::{PROBLEM_JSON, Problem};

use crate::{
    domain::Facts,
    http::{
        Shared, Shop,
        parameters::{PathId, order_id},
        problem,
        view::ProgressView,
    },
    order::Entry,
    store,
};

const LAST_EVENT_ID: &str = "last-event-id";
/// How long nothing must happen after a final status before the stream ends: what other services still undo comes late.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// How soon a stream looks again after something changed here. The interval doubles each time that nothing is found.
const LOOK_SOON: Duration = Duration::from_millis(5);
/// How often it looks at least: another instance may have handled the event.
const LOOK_OFTEN: Duration = Duration::from_millis(500);

/// Follows an order: what happened so far, then what happens, until nothing more is expected.
///
/// The id of each event is the order's version. A client that sends the last one it saw as `Last-Event-ID` gets what came
/// after it, and 204 when nothing more will, which tells a browser not to come back.
#[utoipa::path(get, path = "/orders/{id}/events",
    params(("id" = uuid::Uuid, Path), ("Last-Event-ID" = Option<u64>, Header, description = "The last version seen")),
    responses(
        (status = 200, body = ProgressView, content_type = "text/event-stream", description = "One of these an event"),
        (status = 204, description = "Nothing more is expected"),
        (status = 400, body = Problem, content_type = PROBLEM_JSON, description = "The id is not a UUID"),
        (status = 404, body = Problem, content_type = PROBLEM_JSON),
        (status = 503, body = Problem, content_type = PROBLEM_JSON, description = "Too many streams")))]
pub(crate) async fn follow(State(shop): Shared, id: PathId, headers: HeaderMap) -> Result<Response, Problem> {
    let id = order_id(id)?;
    let permit = Arc::clone(&shop.streams).try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many clients follow orders right now; try again later")
    })?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|seen| seen.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut feed = Feed::new(shop, id, seen, permit);
    feed.read().await?;
    if feed.last.is_none() {
        return Err(problem::no_such_order());
    }
    if feed.ready.is_empty() && feed.has_settled() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = stream::unfold(feed, async |mut feed| {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    // Proxies that buffer would hold the events back.
    let unbuffered = [(header::HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, Sse::new(events).keep_alive(KeepAlive::default())).into_response())
}

/// One client that follows one order.
struct Feed {
    shop: Arc<Shop>,
    id: OrderId,
    /// The last version that the client saw before.
    seen: i64,
    /// The newest fact that was read.
    last: Option<Entry>,
    facts: Facts,
    ready: VecDeque<Event>,
    wait: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    fn new(shop: Arc<Shop>, id: OrderId, seen: i64, permit: OwnedSemaphorePermit) -> Self {
        let (last, facts, ready) = (None, Facts::default(), VecDeque::new());
        Self { shop, id, seen, last, facts, ready, wait: LOOK_SOON, _permit: permit }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.has_settled() || !self.look_again().await {
                return None;
            }
        }
    }

    /// Waits until there may be something new, and reads it. `false` when the stream has to end.
    async fn look_again(&mut self) -> bool {
        let shop = Arc::clone(&self.shop);
        let changed = shop.orders.changes.next(self.id);
        tokio::select! {
            () = shop.stopping.cancelled() => return false,
            () = changed => self.wait = LOOK_SOON,
            () = tokio::time::sleep(self.wait) => self.wait = (self.wait * 2).min(LOOK_OFTEN),
        }
        match self.read().await {
            Ok(()) => true,
            Err(error) => {
                // The client comes back with the last id that it saw.
                warn!(order = %self.id, %error, "failed to read an order's history");
                false
            }
        }
    }

    async fn read(&mut self) -> sqlx::Result<()> {
        let known = self.last.map_or(0, |entry| entry.version);
        for entry in store::history_after(&self.shop.db, self.id, known).await? {
            self.facts = self.facts.with(entry.fact);
            self.last = Some(entry);
            self.wait = LOOK_SOON;
            if entry.version > self.seen {
                self.ready.push_back(self.event(&entry)?);
            }
        }
        Ok(())
    }

    fn event(&self, entry: &Entry) -> sqlx::Result<Event> {
        let view = ProgressView::new(entry, self.facts.status());
        let event = Event::default().id(entry.version.to_string()).json_data(&view);
        event.map_err(|error| sqlx::Error::Encode(error.into()))
    }

    fn has_settled(&self) -> bool {
        let now = self.shop.db.clock().now();
        let quiet_since = |at: Timestamp| at.checked_add(SETTLED_AFTER).is_ok_and(|until| until <= now);
        self.facts.status().is_final() && self.last.is_some_and(|entry| quiet_since(entry.at))
    }
}
