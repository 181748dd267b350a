//! The service's HTTP API.

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    routing::get,
};
use pavane::{Correlation, any::Db, database::Emissions};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{FieldError, PROBLEM_JSON, Problem, may_answer};

use crate::{
    domain,
    store::{self, Stock},
};

const BODY_MAX: usize = 16 * 1024;

#[derive(OpenApi)]
#[openapi(info(title = "Inventory", description = "What the shop has, holds for orders, and has shipped."))]
struct Description;

/// What the API answers to requests.
pub(crate) fn router(db: Db) -> Router {
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(list_stock))
        .routes(routes!(show_stock, set_stock))
        .split_for_parts();
    may_answer(&mut description, StatusCode::SERVICE_UNAVAILABLE, "The database is away", |_| true);
    router
        .route("/openapi.json", get(async move || Json(description)))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(db)
}

#[derive(Debug, Deserialize)]
struct After {
    #[serde(default)]
    after: String,
}

/// Lists the stock: at most 1000 SKUs, in their order. The next page begins after the last one.
#[utoipa::path(get, path = "/stock",
    params(("after" = Option<String>, Query, description = "The SKU after which the page begins")),
    responses((status = 200, body = Vec<Stock>), (status = 400, body = Problem, content_type = PROBLEM_JSON)))]
async fn list_stock(
    State(db): State<Db>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Json<Vec<Stock>>, Problem> {
    let Query(After { after }) = query.map_err(|error| Problem::bad_request("after", error.body_text()))?;
    Ok(Json(store::page(&db, &after).await?))
}

/// Shows how much there is of one SKU.
#[utoipa::path(get, path = "/stock/{sku}", params(("sku" = String, Path)),
    responses((status = 200, body = Stock), (status = 400, body = Problem, content_type = PROBLEM_JSON),
        (status = 404, body = Problem, content_type = PROBLEM_JSON)))]
async fn show_stock(State(db): State<Db>, Path(sku): Path<String>) -> Result<Json<Stock>, Problem> {
    let sku = domain::sku(&sku).map_err(|error| Problem::bad_request("sku", error))?;
    store::one(&db, &sku)
        .await?
        .map(Json)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no {sku}")))
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
    responses((status = 200, body = Stock), (status = "4XX", body = Problem, content_type = PROBLEM_JSON),
        (status = 409, body = Problem, content_type = PROBLEM_JSON, description = "More than that are reserved")))]
async fn set_stock(
    State(db): State<Db>,
    Path(sku): Path<String>,
    body: Result<Json<SetStock>, JsonRejection>,
) -> Result<Json<Stock>, Problem> {
    let sku = domain::sku(&sku).map_err(|error| Problem::bad_request("sku", error))?;
    let Json(SetStock { on_hand }) = body.map_err(|rejection| unreadable(&rejection))?;
    let on_hand = domain::on_hand(on_hand).map_err(|error| Problem::bad_request("on_hand", error))?;
    // Counting stock is no part of any saga.
    let mut tx = db.begin(Correlation::start(), Emissions::nothing("inventory/set-stock")).await?;
    let set = store::set_on_hand(&mut tx, &sku, on_hand).await?;
    tx.commit().await?;
    let more = format!("more than {on_hand} of {sku} are reserved");
    set.map(Json).ok_or_else(|| {
        Problem::new(StatusCode::CONFLICT, "the stock can't be set").naming(FieldError::new("on_hand", more))
    })
}

/// JSON of another shape: the body has one field.
fn unreadable(rejection: &JsonRejection) -> Problem {
    if let JsonRejection::JsonDataError(_) = rejection {
        return Problem::new(rejection.status(), "the body is not how many pieces there are")
            .naming(FieldError::new("on_hand", rejection.body_text()));
    }
    Problem::new(rejection.status(), rejection.body_text())
}
