//! The provider's HTTP edge.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::time;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::idempotency::Key;
use crate::parse;
use crate::provider::{Command, Provider, Request};
use crate::store;
use crate::telemetry::Metrics;
use crate::wire::{Balances, CreateIntent, CreateRefund, ErrorBody, PaymentIntent, PaymentIntents, Refund};

const BODY_MAX: usize = 16 * 1024;
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Tells the client that the answer was given before.
const REPLAYED: &str = "idempotent-replayed";

pub(crate) struct Edge {
    pub(crate) provider: Provider,
    pub(crate) metrics: Metrics,
}

type Shared = State<Arc<Edge>>;

#[derive(OpenApi)]
#[openapi(info(
    title = "Payment provider simulator",
    description = "Stripe's shapes and idempotency keys. The test card in `payment_method` chooses what goes wrong."
))]
struct Description;

pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let (router, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(create_intent, list_intents))
        .routes(routes!(intent))
        .routes(routes!(capture_intent))
        .routes(routes!(cancel_intent))
        .routes(routes!(create_refund))
        .routes(routes!(balance))
        .split_for_parts();
    router
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async |State(edge): Shared| edge.metrics.render()))
        .route("/openapi.json", get(async move || Json(description)))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(edge)
}

/// Authorises a payment.
#[utoipa::path(post, path = "/v1/payment_intents", request_body = CreateIntent,
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this request, however often it is sent.")),
    responses(
        (status = 200, body = PaymentIntent), (status = 400, body = ErrorBody, description = "Invalid, or the key of another request"),
        (status = 402, body = ErrorBody, description = "Declined"), (status = 409, body = ErrorBody, description = "The key is in use")))]
async fn create_intent(state: Shared, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let command = parse::new_intent(&body).map(Command::Create);
    command_answer(state, "create", command, &Call { uri, headers, body }).await
}

/// Takes the authorised amount.
#[utoipa::path(post, path = "/v1/payment_intents/{intent}/capture",
    params(("intent" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 200, body = PaymentIntent), (status = 400, body = ErrorBody, description = "Not authorised any more"),
        (status = 402, body = ErrorBody, description = "Declined"), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "The key is in use")))]
async fn capture_intent(state: Shared, Path(id): Path<String>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    command_answer(state, "capture", Ok(Command::Capture { id }), &Call { uri, headers, body }).await
}

/// Gives up the authorisation.
#[utoipa::path(post, path = "/v1/payment_intents/{intent}/cancel",
    params(("intent" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 200, body = PaymentIntent), (status = 400, body = ErrorBody, description = "Captured, or cancelled before"),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody, description = "The key is in use")))]
async fn cancel_intent(state: Shared, Path(id): Path<String>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    command_answer(state, "cancel", Ok(Command::Cancel { id }), &Call { uri, headers, body }).await
}

/// Gives money back.
#[utoipa::path(post, path = "/v1/refunds", request_body = CreateRefund,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 200, body = Refund), (status = 400, body = ErrorBody, description = "Invalid, or more than is left"),
        (status = 409, body = ErrorBody, description = "The key is in use")))]
async fn create_refund(state: Shared, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let command = parse::new_refund(&body).map(Command::Refund);
    command_answer(state, "refund", command, &Call { uri, headers, body }).await
}

/// Shows an intent.
#[utoipa::path(get, path = "/v1/payment_intents/{intent}", params(("intent" = String, Path)),
    responses((status = 200, body = PaymentIntent), (status = 404, body = ErrorBody)))]
async fn intent(State(edge): Shared, Path(id): Path<String>) -> Answer {
    let found = edge.provider.store.intent(&id).await;
    query_answer(found.map(|intent| match intent {
        Some(intent) => Answer::ok(&PaymentIntent::from(&intent)),
        None => Answer::no_such_intent(404, "intent", &id),
    }))
}

#[derive(Debug, Deserialize)]
struct OfOrder {
    order_id: String,
}

/// Finds the intents of an order: what a merchant asks that does not know whether its request arrived.
#[utoipa::path(get, path = "/v1/payment_intents", params(("order_id" = String, Query, description = "The `metadata.order_id` of the intents")),
    responses((status = 200, body = PaymentIntents), (status = 400, body = ErrorBody)))]
async fn list_intents(State(edge): Shared, query: Result<Query<OfOrder>, QueryRejection>) -> Answer {
    let Ok(Query(OfOrder { order_id })) = query else {
        return Answer::invalid(parse::missing("order_id"));
    };
    let found = edge.provider.store.intents_of_order(&order_id).await;
    query_answer(found.map(|intents| {
        let data = intents.iter().map(PaymentIntent::from).collect();
        Answer::ok(&PaymentIntents { object: "list".to_owned(), data })
    }))
}

/// Shows the provider's books.
#[utoipa::path(get, path = "/v1/balance", responses((status = 200, body = Balances)))]
async fn balance(State(edge): Shared) -> Answer {
    let balance = edge.provider.store.balance().await;
    query_answer(balance.map(|currencies| Answer::ok(&Balances { object: "balance".to_owned(), currencies })))
}

async fn no_such_path(method: Method, uri: Uri) -> Answer {
    Answer::no_such_path(&method, uri.path())
}

async fn no_such_method(method: Method, uri: Uri) -> Answer {
    Answer::no_such_method(&method, uri.path())
}

async fn ready(State(edge): Shared) -> (StatusCode, Json<serde_json::Value>) {
    match edge.provider.store.ping().await {
        Ok(()) => (StatusCode::OK, Json(json!({ "ready": true }))),
        Err(error) => {
            let reason = format!("failed to {error}");
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "database": reason })))
        }
    }
}

/// A command as it arrived.
struct Call {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn key(&self) -> Result<Option<Key>, parse::Invalid> {
        let Some(value) = self.headers.get(IDEMPOTENCY_KEY) else {
            return Ok(None);
        };
        let key = value.to_str().ok().and_then(Key::new);
        key.map(Some).ok_or_else(|| parse::invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters"))
    }

    /// The path and the body, whatever its white space.
    fn fingerprint(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        format!("{} {body}", self.uri.path())
    }
}

async fn command_answer(
    State(edge): Shared,
    operation: &'static str,
    command: Result<Command, parse::Invalid>,
    call: &Call,
) -> Response {
    let request =
        command.and_then(|command| Ok(Request { command, key: call.key()?, fingerprint: call.fingerprint() }));
    let request = match request {
        Ok(request) => request,
        // Not saved under the key: nothing was begun.
        Err(invalid) => {
            edge.metrics.answered(operation, 400, false);
            return Answer::invalid(invalid).into_response();
        }
    };
    // In a task of its own, for a client that hangs up does not stop a real provider either.
    let provider = edge.provider.clone();
    let executed = tokio::spawn(async move { provider.execute(request).await });
    let reply = match executed.await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => return internal(&error),
        Err(panic) => return internal(&panic),
    };
    edge.metrics.answered(operation, reply.answer.status, reply.replayed);
    time::sleep(reply.hold).await;
    let mut response = reply.answer.into_response();
    if reply.replayed {
        response.headers_mut().insert(REPLAYED, header::HeaderValue::from_static("true"));
    }
    response
}

fn query_answer(answer: Result<Answer, store::Error>) -> Answer {
    answer.unwrap_or_else(|error| {
        tracing::error!(%error, "failed to answer");
        Answer::internal()
    })
}

fn internal(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "failed to carry out a command");
    Answer::internal().into_response()
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/json")], self.body).into_response()
    }
}
