//! The service's HTTP API.

use std::fmt::Display;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    routing::get,
};
use contracts::OrderId;
use pavane::any::Db;
use serde::Deserialize;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{PROBLEM_JSON, Problem, may_answer};

use crate::{
    domain::Status,
    store::{self, Count, Shipment},
};

#[derive(OpenApi)]
#[openapi(info(title = "Shipping", description = "The shop's parcels, and where they are."))]
struct Description;

/// What the API answers to requests.
pub(crate) fn router(db: Db) -> Router {
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(show_shipment))
        .routes(routes!(count_shipments))
        .split_for_parts();
    may_answer(&mut description, StatusCode::SERVICE_UNAVAILABLE, "The database is away", |_| true);
    router.route("/openapi.json", get(async move || Json(description))).with_state(db)
}

/// Shows an order's parcel.
#[utoipa::path(get, path = "/shipments/{order_id}", params(("order_id" = String, Path, format = Uuid)),
    responses((status = 200, body = Shipment), (status = 400, body = Problem, content_type = PROBLEM_JSON),
        (status = 404, body = Problem, content_type = PROBLEM_JSON)))]
async fn show_shipment(State(db): State<Db>, Path(order_id): Path<String>) -> Result<Json<Shipment>, Problem> {
    let order: OrderId = order_id.parse().map_err(|error| Problem::bad_request("order_id", error))?;
    let none = || Problem::new(StatusCode::NOT_FOUND, format!("the order {order} has no shipment"));
    store::one(&db, order).await?.map(Json).ok_or_else(none)
}

#[derive(Debug, Deserialize)]
struct Filter {
    status: Option<String>,
}

/// Counts the parcels of each status, or of one.
#[utoipa::path(get, path = "/shipments",
    params(("status" = Option<Status>, Query, description = "Counts only these")),
    responses((status = 200, body = Vec<Count>), (status = 400, body = Problem, content_type = PROBLEM_JSON)))]
async fn count_shipments(
    State(db): State<Db>,
    query: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Vec<Count>>, Problem> {
    let invalid = |error: &dyn Display| Problem::bad_request("status", error);
    let Query(Filter { status }) = query.map_err(|error| invalid(&error))?;
    let wanted = status.as_deref().map(Status::parse).transpose().map_err(|error| invalid(&error))?;
    let mut counts = store::counts(&db).await?;
    counts.retain(|count| wanted.is_none_or(|wanted| count.status == wanted));
    Ok(Json(counts))
}
