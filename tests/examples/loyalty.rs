//! Gives a customer points for each confirmed order.

use std::process::ExitCode;

use axum::Router;
use contracts::order::OrderConfirmed;
use pavane::any::{Service, Tx};
use pavane::{Config, Envelope, Handled, on, shutdown_signal};

struct Loyalty;

async fn add_points(_: &Loyalty, tx: &mut Tx, order: &Envelope<OrderConfirmed>) -> Handled {
    let insert = sqlx::query("insert into points (order_id, email, points) values ($1, $2, $3)");
    let insert = insert.bind(order.order_id.to_string()).bind(order.email.clone()).bind(order.total.minor / 100);
    insert.execute(tx.conn()).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        let service = Service::new("loyalty", Loyalty).migrations(sqlx::migrate!()).react("add-points", on(add_points));
        let app = service.connect(Config::from_env()?).await?;
        // Health, readiness and metrics; it has no routes of its own.
        web::run(app, web::listen("127.0.0.1:4006").await?, Router::new(), shutdown_signal()).await
    };
    web::process(run).await
}
