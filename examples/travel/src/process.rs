//! A service with its HTTP side.

use std::future::Future;

use anyhow::Context as _;
use axum::{Json, Router, routing::get};
use pavane::{
    Config,
    postgres::{App, Db, Service},
};
use serde_json::Value;
use tokio::net::TcpListener;
use web::Problem;

/// Connects a service, and runs its reactions and its HTTP side until `shutdown`.
///
/// # Errors
///
/// When a server isn't there at the start, or the service can't go on.
pub(crate) async fn run<S: Send + Sync + 'static>(
    service: Service<S>,
    config: Config,
    listener: TcpListener,
    routes: impl FnOnce(&App<S>) -> Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let app = service.connect(config).await.context("failed to start the service")?;
    let routes = routes(&app);
    web::run(app, listener, routes, shutdown).await
}

/// Shows auditors what `sql` counts: a row with one JSON object.
pub(crate) fn summary(db: Db, sql: &'static str) -> Router {
    let count = async move || -> Result<Json<Value>, Problem> {
        Ok(Json(sqlx::query_scalar(sql).fetch_one(db.readers()).await?))
    };
    Router::new().route("/summary", get(count))
}
