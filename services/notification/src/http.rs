//! What the service shows: the mails of an order. Reads only.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use contracts::OrderId;
use serde::Serialize;
use sqlx::AnyPool;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::store::{self, Mail};

#[derive(OpenApi)]
#[openapi(info(title = "Notification", description = "What customers were told."))]
struct Description;

pub(crate) fn router(readers: AnyPool) -> Router {
    let (router, description) =
        OpenApiRouter::with_openapi(Description::openapi()).routes(routes!(notifications)).split_for_parts();
    router.route("/openapi.json", get(async move || Json(description))).with_state(readers)
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
async fn notifications(
    State(readers): State<AnyPool>,
    Path(order_id): Path<String>,
) -> Result<Json<Notifications>, Problem> {
    let id: OrderId = order_id.parse().map_err(|_| Problem::not_an_order_id(&order_id))?;
    let mails = store::mails(&readers, id).await?.into_iter().map(MailView::from).collect();
    Ok(Json(Notifications { order_id: id.to_string(), mails }))
}

impl From<Mail> for MailView {
    fn from(Mail { kind, to, sent_at }: Mail) -> Self {
        Self { kind, to, sent_at: sent_at.to_string() }
    }
}

const PROBLEM_JSON: &str = "application/problem+json";

/// An error, as RFC 9457 has it.
#[derive(Debug, Serialize, ToSchema)]
struct Problem {
    title: &'static str,
    status: u16,
    detail: String,
    /// The part of the request that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

impl Problem {
    fn new(status: StatusCode, detail: String) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        Self { title, status: status.as_u16(), detail, field: None }
    }

    fn not_an_order_id(text: &str) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, format!("{text:?} is not an order id: a UUID is wanted"));
        Self { field: Some("order_id"), ..problem }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "failed to read the database");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the database can't be read now; try again".to_owned())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], Json(self)).into_response()
    }
}
