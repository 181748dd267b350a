//! Bills customers, over HTTP.

mod saga;

use anyhow::Result;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use pavane::postgres::{Db, Entry};
use pavane::{Config, Correlation};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::net::TcpListener;

#[derive(Clone)]
struct Billing {
    pool: PgPool,
    issue: Entry,
}

#[derive(Deserialize)]
struct NewInvoice {
    customer: String,
    cents: i64,
}

#[derive(Serialize)]
struct Invoice {
    id: i64,
    customer: String,
    cents: i64,
    is_paid: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let pool = PgPoolOptions::new().max_connections(20).connect(&std::env::var("DATABASE_URL")?).await?;
    sqlx::migrate!().run(&pool).await?;
    let app = saga::service().connect_with(Db::from_pool("billing", pool.clone()), Config::from_env()?).await?;
    let billing = Billing { pool, issue: app.entry(&saga::ISSUE) };
    let saga = tokio::spawn(app.run_until(shutdown()));
    let routes = Router::new().route("/invoices", post(issue)).route("/invoices/{id}", get(show)).with_state(billing);
    let listener = TcpListener::bind("127.0.0.1:4020").await?;
    axum::serve(listener, routes).with_graceful_shutdown(shutdown()).await?;
    saga.await??;
    Ok(())
}

async fn issue(State(billing): State<Billing>, Json(new): Json<NewInvoice>) -> Result<(StatusCode, String), Failed> {
    let mut tx = billing.issue.begin(Correlation::start()).await?;
    let insert = sqlx::query_scalar("insert into invoices (customer, cents) values ($1, $2) returning id");
    let id: i64 = insert.bind(&new.customer).bind(new.cents).fetch_one(tx.conn()).await?;
    tx.emit(&saga::InvoiceIssued { invoice: id, cents: new.cents }).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, format!("/invoices/{id}")))
}

async fn show(State(billing): State<Billing>, Path(id): Path<i64>) -> Result<Response, Failed> {
    let select = sqlx::query_as("select customer, cents, is_paid from invoices where id = $1");
    let found: Option<(String, i64, bool)> = select.bind(id).fetch_optional(&billing.pool).await?;
    let Some((customer, cents, is_paid)) = found else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    Ok(Json(Invoice { id, customer, cents, is_paid }).into_response())
}

async fn shutdown() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What the client is not told.
struct Failed(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        tracing::error!(error = %self.0, "a request failed");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
