//! What the service shows: the mails of an order. Reads only.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use contracts::OrderId;
use pavane::any::Db;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{PROBLEM_JSON, Problem, may_answer};

use crate::store::{self, Mail};

#[derive(OpenApi)]
#[openapi(info(title = "Notification", description = "What customers were told."))]
struct Description;

/// What the API answers to requests.
pub(crate) fn router(db: Db) -> Router {
    let (router, mut description) =
        OpenApiRouter::with_openapi(Description::openapi()).routes(routes!(notifications)).split_for_parts();
    may_answer(&mut description, StatusCode::SERVICE_UNAVAILABLE, "The database is away", |_| true);
    router.route("/openapi.json", get(async move || Json(description))).with_state(db)
}

/// The mails of one order.
#[derive(Debug, Serialize, ToSchema)]
struct Notifications {
    order_id: String,
    /// Oldest first.
    mails: Vec<MailView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MailView {
    /// `confirmation` or `cancellation`.
    kind: String,
    to: String,
    #[schema(format = DateTime)]
    sent_at: String,
}

/// Shows what was sent about an order: nothing, as long as it has no outcome.
#[utoipa::path(get, path = "/notifications/{order_id}", params(("order_id" = String, Path, description = "A UUID.")),
    responses(
        (status = 200, body = Notifications),
        (status = 400, body = Problem, content_type = PROBLEM_JSON, description = "Not an order id")))]
async fn notifications(State(db): State<Db>, Path(order_id): Path<String>) -> Result<Json<Notifications>, Problem> {
    let id: OrderId = order_id.parse().map_err(|error| Problem::bad_request("order_id", error))?;
    let mails = store::mails(&db, id).await?.into_iter().map(MailView::from).collect();
    Ok(Json(Notifications { order_id: id.to_string(), mails }))
}

impl From<Mail> for MailView {
    fn from(Mail { kind, to, sent_at }: Mail) -> Self {
        Self { kind, to, sent_at: sent_at.to_string() }
    }
}
