//! The provider's HTTP API.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post, put},
};
use tokio::time::sleep;

use super::{Balance, Hold, Order, Provider, Refund, Status, Tickets, books::No, client::IDEMPOTENCY_KEY};
use crate::contracts::{HoldId, TripId};

type Answer<T> = Result<(StatusCode, Json<T>), StatusCode>;

impl From<No> for StatusCode {
    fn from(no: No) -> Self {
        match no {
            No::Refused => Self::CONFLICT,
            No::Busy => Self::SERVICE_UNAVAILABLE,
            No::Unknown => Self::NOT_FOUND,
        }
    }
}

pub(super) fn router(provider: Provider) -> Router {
    Router::new()
        .route("/holds", post(hold))
        .route("/holds/search", post(find_hold))
        .route("/holds/{id}/status", put(set))
        .route("/tickets", post(issue))
        .route("/tickets/{trip}", get(find_tickets))
        .route("/tickets/{trip}/refund", put(refund))
        .route("/balance", get(balance))
        .route("/readyz", get(async || "ready"))
        .with_state(provider)
}

async fn hold(State(provider): State<Provider>, headers: HeaderMap, Json(order): Json<Order>) -> Answer<Hold> {
    let (key, is_late) = (key(&headers)?, order.wish == "late");
    let held = provider.books().hold(&key, order, &*provider.clock, provider.faults);
    provider.hold_back(is_late).await;
    Ok((StatusCode::CREATED, Json(held?)))
}

async fn find_hold(State(provider): State<Provider>, Json(order): Json<Order>) -> Answer<Hold> {
    let found = provider.books().find_hold(&order);
    Ok((StatusCode::OK, Json(found.ok_or(No::Unknown)?)))
}

async fn set(State(provider): State<Provider>, Path(id): Path<HoldId>, Json(status): Json<Status>) -> Answer<()> {
    provider.books().set(id, status)?;
    Ok((StatusCode::OK, Json(())))
}

async fn issue(State(provider): State<Provider>, headers: HeaderMap, Json(tickets): Json<Tickets>) -> Answer<()> {
    let (key, is_late) = (key(&headers)?, tickets.card == "late");
    let issued = provider.books().issue(&key, tickets, &*provider.clock, provider.faults);
    provider.hold_back(is_late).await;
    Ok((StatusCode::CREATED, Json(issued?)))
}

async fn find_tickets(State(provider): State<Provider>, Path(trip): Path<TripId>) -> Answer<Tickets> {
    let found = provider.books().find_tickets(trip);
    Ok((StatusCode::OK, Json(found.ok_or(No::Unknown)?)))
}

async fn refund(State(provider): State<Provider>, Path(trip): Path<TripId>) -> Answer<Refund> {
    let refund = provider.books().refund(trip)?;
    Ok((StatusCode::OK, Json(refund)))
}

async fn balance(State(provider): State<Provider>) -> Json<Balance> {
    Json(provider.balance())
}

fn key(headers: &HeaderMap) -> Result<String, StatusCode> {
    let key = headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
    key.map(str::to_owned).ok_or(StatusCode::BAD_REQUEST)
}

impl Provider {
    async fn hold_back(&self, is_late: bool) {
        if is_late {
            sleep(self.faults.late).await;
        }
    }
}
