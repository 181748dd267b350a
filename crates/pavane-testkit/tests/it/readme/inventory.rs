//! The README's first example, and what it leaves out.

use pavane::postgres::{Service, Tx};
use pavane::{Envelope, Event, Handled, on, undo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// A fact that the service tells the others, and what it is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "inventory.reserved", key = order_id)]
struct StockReserved {
    order_id: String,
}

// One local transaction: dedupe mark, ledger, your rows and the emitted event commit together, or none of them.
async fn reserve_stock(_: &Inventory, tx: &mut Tx, payment: &Envelope<PaymentAuthorized>) -> Handled {
    let order_id = payment.order_id.clone();
    if store::reserve(tx, &order_id).await? {
        tx.emit(&StockReserved { order_id }).await?;
    } else {
        tx.emit(&StockRejected { order_id }).await?; // a "no" is a fact, not an error
    }
    Ok(())
}

// An undo is given the very event that it undoes.
async fn release_stock(_: &Inventory, tx: &mut Tx, reserved: &Envelope<StockReserved>) -> Handled {
    store::release(tx, &reserved.order_id).await?;
    tx.emit(&StockReleased { order_id: reserved.order_id.clone() }).await?;
    Ok(())
}

// The service's whole choreography, on one screen.
fn service() -> Service<Inventory> {
    Service::new("inventory", Inventory)
        .react("reserve-stock", on(reserve_stock).emits_one_of::<(StockReserved, StockRejected)>())
        .react("release-stock", undo(release_stock).when::<OrderCancelled>().emits::<StockReleased>())
}

// What the README leaves out.

use pavane::sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use pavane_testkit::fault_matrix;

struct Inventory;

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = order_id)]
        struct $name {
            order_id: String,
        }
    };
}

event!(PaymentAuthorized, "payment.authorized");
event!(OrderCancelled, "order.cancelled");
event!(StockRejected, "inventory.rejected");
event!(StockReleased, "inventory.released");

mod store {
    use pavane::{postgres::Tx, sqlx};

    /// `false` when there is nothing for the order.
    pub(super) async fn reserve(tx: &mut Tx, order_id: &str) -> Result<bool, sqlx::Error> {
        let reserve = sqlx::query("update stock set reserved = reserved + 1 where order_id = $1").bind(order_id);
        Ok(reserve.execute(tx.conn()).await?.rows_affected() > 0)
    }

    pub(super) async fn release(tx: &mut Tx, order_id: &str) -> Result<(), sqlx::Error> {
        let release = sqlx::query("update stock set reserved = reserved - 1 where order_id = $1").bind(order_id);
        release.execute(tx.conn()).await.map(drop)
    }
}

#[tokio::test]
async fn it_does_no_harm_whatever_fails() {
    let sql =
        "create table stock (order_id text not null, reserved integer not null); insert into stock values ('7', 0)";
    let tables = || Migration::new(1, "stock".into(), MigrationType::Simple, sql.into_sql_str(), false);
    let matrix = fault_matrix(move || service().migrations(Migrator::with_migrations(vec![tables()])))
        .event(&PaymentAuthorized { order_id: "7".into() })
        .event(&PaymentAuthorized { order_id: "8".into() })
        .event(&OrderCancelled { order_id: "7".into() });
    matrix.assert().await;
}
