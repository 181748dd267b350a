//! The order service over HTTP.

pub(crate) mod events;
pub(crate) mod idempotency;
mod parameters;
mod problem;
mod view;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use contracts::{
    OrderId,
    order::{CancelReason, OrderDeadlinePassed},
};
use pavane::{
    Bus, Correlation, Decision, EntryPoint,
    any::{App, Db, Entry},
    ops::trace_of,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{FieldError, PROBLEM_JSON, Problem, may_answer};

use crate::{
    Orders, Settings,
    domain::Fact,
    http::{
        idempotency::Key,
        parameters::{ListParameters, PathId, order_id},
        view::{OrderView, PageView, SummaryView},
    },
    order::{Order, order_of, saga_of},
    placement::{Placement, Request},
    store::{self, Saved},
};

/// The entry point where orders are placed.
pub(crate) const PLACE: EntryPoint = EntryPoint::new("place-order");
/// The entry point where customers cancel them.
pub(crate) const CANCEL: EntryPoint = EntryPoint::new("cancel-order");

const BODY_MAX: usize = 64 * 1024;
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What request handlers share.
#[derive(Debug)]
pub(crate) struct Shop {
    place: Entry,
    cancel: Entry,
    db: Db,
    orders: Arc<Orders>,
    settings: Settings,
    streams: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Shop {
    pub(crate) fn new<B: Bus>(app: &App<Orders, B>, settings: Settings, stopping: CancellationToken) -> Self {
        Self {
            place: app.entry(&PLACE),
            cancel: app.entry(&CANCEL),
            db: app.db().clone(),
            orders: Arc::clone(app.state()),
            streams: Arc::new(Semaphore::new(settings.streams_max)),
            settings,
            stopping,
        }
    }
}

pub(crate) type Shared = State<Arc<Shop>>;

#[derive(OpenApi)]
#[openapi(info(title = "Orders", description = "Place an order, follow it, cancel it."))]
struct Description;

/// What the API answers to requests.
pub(crate) fn router(shop: Arc<Shop>) -> Router {
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(place, list))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(events::follow))
        .split_for_parts();
    may_answer(&mut description, StatusCode::SERVICE_UNAVAILABLE, "The database is away", |_| true);
    router
        .route("/openapi.json", get(async move || Json(description)))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods; see /openapi.json")
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(shop)
}

/// Places an order.
#[utoipa::path(post, path = "/orders", request_body = Request,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        description = "Names this request, however often it is sent. Kept for 24 hours.")),
    responses(
        (status = 201, body = OrderView, description = "Placed, now or by an earlier request with the same key",
            headers(("Location", description = "Where the order is"),
                ("Idempotency-Replayed", description = "`true` when an earlier request placed it"))),
        (status = 400, body = Problem, content_type = PROBLEM_JSON, description = "Can't be read"),
        (status = 413, body = Problem, content_type = PROBLEM_JSON, description = "Over 64 KiB"),
        (status = 422, body = Problem, content_type = PROBLEM_JSON,
            description = "Not acceptable as it is, or the key was used for another order")))]
async fn place(
    State(shop): Shared,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|rejected| Problem::new(rejected.status(), rejected.body_text()))?;
    let json: serde_json::Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))?;
    let key = Key::of(&headers, &json)?;
    // Before the request is checked: what was accepted once is not refused because the rules have changed since.
    let earlier = match &key {
        Some(key) => key.saved(&shop.db).await?,
        None => None,
    };
    if let Some(saved) = earlier {
        return Ok(placed(saved, true));
    }
    let request: Request = serde_path_to_error::deserialize(json).map_err(|error| {
        // The path of the body itself is a dot.
        let field = Some(error.path().to_string()).filter(|path| path != ".").unwrap_or_else(|| "body".to_owned());
        problem::not_acceptable(vec![FieldError::new(field, error.into_inner().to_string())])
    })?;
    let placement = request.check(&shop.settings).map_err(problem::not_acceptable)?;
    let correlation = Correlation::start().traced(trace_of(&headers));
    let (saved, replayed) = commit(&shop, correlation, placement, key.as_ref()).await?;
    Ok(placed(saved, replayed))
}

/// Commits the order, its event, its deadline and the answer saved under the key together. When another request with the
/// key was faster, gives the answer to that one, and `true`.
async fn commit(
    shop: &Shop,
    correlation: Correlation,
    placement: Placement,
    key: Option<&Key>,
) -> Result<(Saved, bool), Problem> {
    let mut tx = shop.place.begin(correlation).await?;
    let id = order_of(tx.saga());
    let order = Order::placed(id, &placement, tx.now());
    let saved = answer(&order, key)?;
    if let Some(key) = key
        && !key.save(&mut tx, &saved).await?
    {
        tx.rollback().await?;
        let saved = key.saved(&shop.db).await?;
        // It was there a moment ago: it has expired since.
        let saved = saved.ok_or_else(|| Problem::new(StatusCode::CONFLICT, "the key has just expired; try again"))?;
        return Ok((saved, true));
    }
    store::insert(&mut tx, &order, &placement).await?;
    tx.emit_after(placement.deadline, &OrderDeadlinePassed { order_id: id }).await?;
    tx.emit(&placement.event(id)).await?;
    tx.commit().await?;
    Ok((saved, false))
}

fn answer(order: &Order, key: Option<&Key>) -> Result<Saved, Problem> {
    let body = serde_json::to_string(&OrderView::from(order)).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let fingerprint = key.map(|key| key.fingerprint.clone()).unwrap_or_default();
    Ok(Saved { fingerprint, order: order.summary.id, body })
}

fn placed(saved: Saved, replayed: bool) -> Response {
    let headers = [(header::LOCATION, format!("/orders/{}", saved.order))];
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (StatusCode::CREATED, headers, content_type, saved.body).into_response();
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Shows an order.
#[utoipa::path(get, path = "/orders/{id}", params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = OrderView),
        (status = 400, body = Problem, content_type = PROBLEM_JSON, description = "The id is not a UUID"),
        (status = 404, body = Problem, content_type = PROBLEM_JSON)))]
async fn show(State(shop): Shared, id: PathId) -> Result<Json<OrderView>, Problem> {
    let order = store::find(shop.db.readers(), order_id(id)?).await?.ok_or_else(problem::no_such_order)?;
    Ok(Json((&order).into()))
}

/// Lists orders, the newest first.
#[utoipa::path(get, path = "/orders", params(ListParameters),
    responses(
        (status = 200, body = PageView),
        (status = 400, body = Problem, content_type = PROBLEM_JSON, description = "A parameter can't be used")))]
async fn list(
    State(shop): Shared,
    query: Result<Query<ListParameters>, QueryRejection>,
) -> Result<Json<PageView>, Problem> {
    let page = ListParameters::page(query)?;
    // One more than asked for tells whether there is a next page.
    let mut found = store::list(&shop.db, store::Page { limit: page.limit + 1, ..page }).await?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.id.as_uuid());
    Ok(Json(PageView { orders: found.iter().map(SummaryView::from).collect(), next }))
}

/// Cancels an order, unless it is confirmed.
#[utoipa::path(post, path = "/orders/{id}/cancel", params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 202, body = OrderView, description = "Cancelled by this request; what was done is being undone"),
        (status = 200, body = OrderView, description = "Cancelled before"),
        (status = 400, body = Problem, content_type = PROBLEM_JSON, description = "The id is not a UUID"),
        (status = 404, body = Problem, content_type = PROBLEM_JSON),
        (status = 409, body = Problem, content_type = PROBLEM_JSON, description = "Confirmed before")))]
async fn cancel(State(shop): Shared, id: PathId, headers: HeaderMap) -> Result<Response, Problem> {
    let id = order_id(id)?;
    let (order, outcome) = decide_to_cancel(&shop, id, &headers).await?;
    let view = Json(OrderView::from(&order));
    match (outcome, order.summary.cancel_reason) {
        (Decision::Won, _) => Ok((StatusCode::ACCEPTED, view).into_response()),
        (Decision::Lost, Some(_)) => Ok(view.into_response()),
        (Decision::Lost, None) => {
            Err(Problem::new(StatusCode::CONFLICT, "the order is confirmed; it can't be cancelled any more"))
        }
    }
}

async fn decide_to_cancel(shop: &Shop, id: OrderId, headers: &HeaderMap) -> Result<(Order, Decision), Problem> {
    const REASON: CancelReason = CancelReason::CustomerRequest;
    // Before the transaction: it begins only for a saga whose id tells its age, and a path may name any. And not left to the
    // decision alone: outcomes are forgotten some day, and an order may be older than that.
    let order = store::find(shop.db.readers(), id).await?.ok_or_else(problem::no_such_order)?;
    if order.is_decided() {
        return Ok((order, Decision::Lost));
    }
    let correlation = Correlation::of(saga_of(id)).traced(trace_of(headers));
    let mut tx = shop.cancel.begin(correlation).await?;
    let header = store::header(&mut tx, id).await?.ok_or_else(problem::no_such_order)?;
    let outcome = tx.decide(&header.cancelled(REASON)).await?;
    if outcome == Decision::Won {
        store::set_cancel_reason(&mut tx, id, REASON).await?;
        let _known = store::record(&mut tx, id, Fact::Cancelled).await?;
    }
    // Read again after the decision: if another transaction decided first, it has committed by now.
    let order = store::find(tx.conn(), id).await?.ok_or_else(problem::no_such_order)?;
    shop.orders.changes.announce_after(&mut tx, id);
    tx.commit().await?;
    Ok((order, outcome))
}
