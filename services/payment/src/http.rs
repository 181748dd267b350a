//! What the service shows: an order's payment, and the books. Reads only; money moves by events.

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

use crate::{
    domain::Account,
    store::{self, Books, Entry},
};

#[derive(OpenApi)]
#[openapi(info(title = "Payment", description = "What has become of the money of each order."))]
struct Description;

/// What the API answers to requests.
pub(crate) fn router(db: Db) -> Router {
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(summary))
        .routes(routes!(payment))
        .split_for_parts();
    may_answer(&mut description, StatusCode::SERVICE_UNAVAILABLE, "The database is away", |_| true);
    router.route("/openapi.json", get(async move || Json(description))).with_state(db)
}

/// The payment of one order; amounts in minor units (cents).
#[derive(Debug, Serialize, ToSchema)]
struct PaymentView {
    order_id: String,
    /// `authorized`, `declined`, `captured`, `capture-failed`, `voided` or `refunded`.
    status: &'static str,
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
    /// What the customer is to pay.
    amount: i64,
    /// What was set aside.
    authorized: i64,
    /// What was charged.
    captured: i64,
    /// What was set free without a charge.
    voided: i64,
    /// What was refunded after a charge.
    refunded: i64,
    /// The provider's id.
    intent_id: Option<String>,
    /// The provider's words, when it declined the card or the capture.
    refusal: Option<String>,
    /// What was recorded, oldest first.
    history: Vec<EntryView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EntryView {
    status: String,
    #[schema(format = DateTime)]
    at: String,
}

/// All payments.
#[derive(Debug, Serialize, ToSchema)]
struct Summary {
    /// One line a currency, in the order of their codes.
    currencies: Vec<CurrencyView>,
}

/// All payments in one currency; amounts in minor units (cents).
#[derive(Debug, Serialize, ToSchema)]
struct CurrencyView {
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
    /// How many orders the provider was asked for.
    payments: i64,
    /// How many of them it declined.
    declined: i64,
    /// All that was ever charged.
    captured: i64,
    /// All that was refunded of it.
    refunded: i64,
    /// What the shop keeps: captured less refunded.
    kept: i64,
    /// All that was set free without a charge.
    voided: i64,
    /// How many authorisations are neither captured nor voided.
    open_authorizations: i64,
    /// What they set aside.
    open_authorizations_amount: i64,
}

/// Shows the payment of an order.
#[utoipa::path(get, path = "/payments/{order_id}", params(("order_id" = String, Path, description = "A UUID.")),
    responses(
        (status = 200, body = PaymentView),
        (status = 400, body = Problem, content_type = PROBLEM_JSON, description = "Not an order id"),
        (status = 404, body = Problem, content_type = PROBLEM_JSON, description = "The provider hasn't answered for this order")))]
async fn payment(State(db): State<Db>, Path(order_id): Path<String>) -> Result<Json<PaymentView>, Problem> {
    let id: OrderId = order_id.parse().map_err(|error| Problem::bad_request("order_id", error))?;
    match store::account_with_entries(&db, id).await? {
        Some((account, history)) => Ok(Json(PaymentView::new(id, account, history))),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no payment for the order {id}"))),
    }
}

/// Shows the books, for comparison with the provider's.
#[utoipa::path(get, path = "/payments/summary", responses((status = 200, body = Summary)))]
async fn summary(State(db): State<Db>) -> Result<Json<Summary>, Problem> {
    let currencies = store::books(&db).await?.into_iter().map(CurrencyView::from).collect();
    Ok(Json(Summary { currencies }))
}

impl PaymentView {
    fn new(order_id: OrderId, account: Account, history: Vec<Entry>) -> Self {
        let status = account.status().name();
        let Account { intent_id, amount, authorized, captured, voided, refunded, refusal } = account;
        let history =
            history.into_iter().map(|Entry { status, recorded_at }| EntryView { status, at: recorded_at.to_string() });
        Self {
            order_id: order_id.to_string(),
            status,
            currency: amount.currency.to_string(),
            amount: amount.minor,
            authorized,
            captured,
            voided,
            refunded,
            intent_id,
            refusal,
            history: history.collect(),
        }
    }
}

impl From<Books> for CurrencyView {
    fn from(books: Books) -> Self {
        let Books { currency, payments, declined, captured, refunded, voided, open, open_amount } = books;
        Self {
            currency,
            payments,
            declined,
            captured,
            refunded,
            kept: captured - refunded,
            voided,
            open_authorizations: open,
            open_authorizations_amount: open_amount,
        }
    }
}
