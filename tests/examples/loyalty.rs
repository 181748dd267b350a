//! Gives a customer points for each confirmed order.

use contracts::order::OrderConfirmed;
use pavane::{Config, Envelope, Handled, Service, Tx, on, ops, shutdown_signal};

struct Loyalty;

async fn add_points(_: &Loyalty, tx: &mut Tx, order: &Envelope<OrderConfirmed>) -> Handled {
    let insert = sqlx::query("insert into points (order_id, email, points) values ($1, $2, $3)");
    let insert = insert.bind(order.order_id.to_string()).bind(order.email.clone()).bind(order.total.minor / 100);
    insert.execute(tx.conn()).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _telemetry = ops::init_tracing();
    let service = Service::new("loyalty", Loyalty).migrations(sqlx::migrate!()).react("add-points", on(add_points));
    let app = service.connect(Config::from_env("loyalty")?).await?;
    let address = std::env::var("HTTP_ADDR").unwrap_or_else(|_| "127.0.0.1:4006".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    let http = tokio::spawn(ops::serve(listener, ops::router(app.readiness())?, shutdown_signal()));
    app.run_until(shutdown_signal()).await;
    Ok(http.await??)
}
