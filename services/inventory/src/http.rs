//! The service's HTTP API.

use std::fmt::Display;

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use pavane::{Correlation, Edge, outbox::Db};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain,
    store::{self, Stock},
};

const BODY_MAX: usize = 16 * 1024;

#[derive(OpenApi)]
#[openapi(info(title = "Inventory", description = "What the shop has, holds for orders, and has shipped."))]
struct Description;

#[derive(Clone)]
struct Warehouse {
    db: Db,
    stocktaking: Edge,
}

/// What the API answers to requests.
pub(crate) fn router(db: Db, stocktaking: Edge) -> Router {
    let (router, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(list_stock))
        .routes(routes!(show_stock, set_stock))
        .split_for_parts();
    router
        .route("/openapi.json", get(async move || Json(description)))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(Warehouse { db, stocktaking })
}

#[derive(Debug, Deserialize)]
struct After {
    #[serde(default)]
    after: String,
}

/// Lists the stock: at most 1000 SKUs, in their order. The next page begins after the last one.
#[utoipa::path(get, path = "/stock",
    params(("after" = Option<String>, Query, description = "The SKU after which the page begins")),
    responses((status = 200, body = Vec<Stock>), (status = 400, body = Problem, content_type = PROBLEM)))]
async fn list_stock(
    State(warehouse): State<Warehouse>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Json<Vec<Stock>>, Problem> {
    let Query(After { after }) = query.map_err(|error| Problem::invalid("after", error.body_text()))?;
    Ok(Json(store::page(&warehouse.db, &after).await.map_err(Problem::internal)?))
}

/// Shows how much there is of one SKU.
#[utoipa::path(get, path = "/stock/{sku}", params(("sku" = String, Path)),
    responses((status = 200, body = Stock), (status = 400, body = Problem, content_type = PROBLEM),
        (status = 404, body = Problem, content_type = PROBLEM)))]
async fn show_stock(State(warehouse): State<Warehouse>, Path(sku): Path<String>) -> Result<Json<Stock>, Problem> {
    let sku = domain::sku(&sku).map_err(|error| Problem::invalid("sku", error))?;
    let found = store::one(&warehouse.db, &sku).await.map_err(Problem::internal)?;
    found.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, Some("sku"), format!("there is no {sku}")))
}

/// What was counted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetStock {
    /// Pieces in the warehouse, the reserved ones included.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub on_hand: i64,
}

/// Sets how many pieces of a SKU there are; a new SKU is added.
#[utoipa::path(put, path = "/stock/{sku}", params(("sku" = String, Path)), request_body = SetStock,
    responses((status = 200, body = Stock), (status = "4XX", body = Problem, content_type = PROBLEM),
        (status = 409, body = Problem, content_type = PROBLEM, description = "More than that are reserved")))]
async fn set_stock(
    State(warehouse): State<Warehouse>,
    Path(sku): Path<String>,
    body: Result<Json<SetStock>, JsonRejection>,
) -> Result<Json<Stock>, Problem> {
    let sku = domain::sku(&sku).map_err(|error| Problem::invalid("sku", error))?;
    let Json(SetStock { on_hand }) = body?;
    let on_hand = domain::on_hand(on_hand).map_err(|error| Problem::invalid("on_hand", error))?;
    let mut tx = warehouse.stocktaking.begin(Correlation::start()).await.map_err(Problem::internal)?;
    let set = store::set_on_hand(&mut tx, &sku, on_hand).await.map_err(Problem::internal)?;
    tx.commit().await.map_err(Problem::internal)?;
    let more = || format!("more than {on_hand} of {sku} are reserved");
    set.map(Json).ok_or_else(|| Problem::new(StatusCode::CONFLICT, Some("on_hand"), more()))
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

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        // JSON of another shape: the body has one field.
        let field = matches!(rejection, JsonRejection::JsonDataError(_)).then_some("on_hand");
        Self::new(rejection.status(), field, rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, PROBLEM)], Json(self)).into_response()
    }
}
