//! The service's HTTP API.

use std::fmt::Display;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use contracts::OrderId;
use pavane::outbox::Db;
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::Status,
    store::{self, Count, Shipment},
};

#[derive(OpenApi)]
#[openapi(info(title = "Shipping", description = "The shop's parcels, and where they are."))]
struct Description;

/// What the API answers to requests.
pub(crate) fn router(db: Db) -> Router {
    let (router, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(show_shipment))
        .routes(routes!(count_shipments))
        .split_for_parts();
    router.route("/openapi.json", get(async move || Json(description))).with_state(db)
}

/// Shows an order's parcel.
#[utoipa::path(get, path = "/shipments/{order_id}", params(("order_id" = String, Path, format = Uuid)),
    responses((status = 200, body = Shipment), (status = 400, body = Problem, content_type = PROBLEM),
        (status = 404, body = Problem, content_type = PROBLEM)))]
async fn show_shipment(State(db): State<Db>, Path(order_id): Path<String>) -> Result<Json<Shipment>, Problem> {
    let order: OrderId = order_id.parse().map_err(|error| Problem::invalid("order_id", error))?;
    let found = store::one(&db, order).await.map_err(Problem::internal)?;
    let none = || Problem::new(StatusCode::NOT_FOUND, Some("order_id"), format!("the order {order} has no shipment"));
    found.map(Json).ok_or_else(none)
}

#[derive(Debug, Deserialize)]
struct Filter {
    status: Option<String>,
}

/// Counts the parcels of each status, or of one.
#[utoipa::path(get, path = "/shipments",
    params(("status" = Option<Status>, Query, description = "Counts only these")),
    responses((status = 200, body = Vec<Count>), (status = 400, body = Problem, content_type = PROBLEM)))]
async fn count_shipments(
    State(db): State<Db>,
    query: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Vec<Count>>, Problem> {
    let invalid = |error: &dyn Display| Problem::invalid("status", error);
    let Query(Filter { status }) = query.map_err(|error| invalid(&error))?;
    let wanted = status.as_deref().map(Status::parse).transpose().map_err(|error| invalid(&error))?;
    let mut counts = store::counts(&db).await.map_err(Problem::internal)?;
    counts.retain(|count| wanted.is_none_or(|wanted| count.status == wanted));
    Ok(Json(counts))
}

/// Media type of a [`Problem`].
const PROBLEM: &str = "application/problem+json";

/// Why a request failed, as RFC 9457 wants it told.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[non_exhaustive]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What the status means.
    pub title: String,
    /// What is wrong this time.
    pub detail: String,
    /// The field or parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, field: Option<&str>, detail: impl Display) -> Self {
        let title = status.canonical_reason().unwrap_or_default().to_owned();
        Self { status: status.as_u16(), title, detail: detail.to_string(), field: field.map(str::to_owned) }
    }

    fn invalid(field: &str, detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Some(field), detail)
    }

    /// What went wrong inside is for the logs, not for the client.
    fn internal(error: impl Display) -> Self {
        tracing::error!(%error, "failed to answer a request");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, None, "the service failed; try again later")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, PROBLEM)], Json(self)).into_response()
    }
}
