//! The README's first example, and what it leaves out.

use pavane::postgres::{Service, Tx};
use pavane::{Config, Envelope, Event, Handled, on, shutdown_signal, undo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// Facts, in the past tense. A name begins with the service that owns it: two are ours, two are other services'.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "payment.authorized", key = order_id)]
struct PaymentAuthorized {
    order_id: String,
    sku: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.cancelled", key = order_id)]
struct OrderCancelled {
    order_id: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "inventory.reserved", key = order_id)]
struct StockReserved {
    order_id: String,
    sku: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "inventory.rejected", key = order_id)]
struct StockRejected {
    order_id: String,
}

struct Inventory;

// One local transaction: dedupe mark, ledger, your rows and the emitted event commit together, or none of them.
async fn reserve_stock(_: &Inventory, tx: &mut Tx, payment: &Envelope<PaymentAuthorized>) -> Handled {
    let (order_id, sku) = (payment.order_id.clone(), payment.sku.clone());
    let reserve = sqlx::query("update stock set free = free - 1 where sku = $1 and free > 0").bind(&sku);
    if reserve.execute(tx.conn()).await?.rows_affected() > 0 {
        tx.emit(&StockReserved { order_id, sku }).await?;
    } else {
        tx.emit(&StockRejected { order_id }).await?; // a "no" is a fact, not an error
    }
    Ok(())
}

// An undo is given the very event that it undoes.
async fn release_stock(_: &Inventory, tx: &mut Tx, reserved: &Envelope<StockReserved>) -> Handled {
    let release = sqlx::query("update stock set free = free + 1 where sku = $1").bind(&reserved.sku);
    release.execute(tx.conn()).await?;
    Ok(())
}

// The service's whole choreography, on one screen.
fn service() -> Service<Inventory> {
    Service::new("inventory", Inventory)
        .react("reserve-stock", on(reserve_stock).emits_one_of::<(StockReserved, StockRejected)>())
        .react("release-stock", undo(release_stock).when::<OrderCancelled>())
}

#[tokio::main]
async fn main() -> Result<(), pavane::Error> {
    // NATS_URL and DATABASE_URL say where it runs.
    let app = service().connect(Config::from_env()?).await?;
    app.run_until(shutdown_signal()).await
}

// What the README leaves out.

use pavane_testkit::fault_matrix;
use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

#[tokio::test]
async fn it_does_no_harm_whatever_fails() {
    let sql = "create table stock (sku text not null, free integer not null); insert into stock values ('tea', 5)";
    let tables = || Migration::new(1, "stock".into(), MigrationType::Simple, sql.into_sql_str(), false);
    let paid = |order_id: &str, sku: &str| PaymentAuthorized { order_id: order_id.into(), sku: sku.into() };
    let matrix = fault_matrix(move || service().migrations(Migrator::with_migrations(vec![tables()])))
        .event(&paid("7", "tea"))
        .event(&paid("8", "coffee"))
        .event(&OrderCancelled { order_id: "7".into() });
    matrix.assert().await;
}
