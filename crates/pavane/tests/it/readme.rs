//! The README's example, compiled and run.

use std::sync::Arc;

use pavane::{
    Config, Envelope, Event, Handled, Key, Service, Tx,
    bus::Memory,
    contract::SystemClock,
    on,
    outbox::{Config as DbConfig, Db},
    undo,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! event {
    ($($name:ident $wire:literal),+) => { $(
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        struct $name {
            order_id: String,
        }

        impl Event for $name {
            const NAME: &'static str = $wire;
            const VERSION: u16 = 1;

            fn key(&self) -> Key {
                self.order_id.as_str().into()
            }
        }
    )+ };
}

event! {
    PaymentAuthorized "payment.authorized",
    OrderCancelled "order.cancelled",
    StockReserved "inventory.reserved",
    StockRejected "inventory.rejected",
    StockReleased "inventory.released"
}

struct Inventory;

mod store {
    use pavane::Tx;

    pub(super) async fn reserve(tx: &mut Tx, order_id: &str) -> Result<bool, sqlx::Error> {
        let reserve = sqlx::query("update stock set reserved = reserved + 1 where reserved < on_hand and $1 <> ''");
        Ok(reserve.bind(order_id.to_owned()).execute(tx.conn()).await?.rows_affected() == 1)
    }

    pub(super) async fn release(tx: &mut Tx, order_id: &str) -> Result<(), sqlx::Error> {
        let release = sqlx::query("update stock set reserved = reserved - 1 where $1 <> ''");
        release.bind(order_id.to_owned()).execute(tx.conn()).await.map(drop)
    }
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

// An undo is given the very event that it takes back.
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

#[test]
fn the_readme_shows_the_code_that_is_tested() {
    let (readme, here) = (include_str!("../../../../README.md"), include_str!("readme.rs"));
    let start = readme.find("// One local transaction").unwrap();
    let example = &readme[start..start + readme[start..].find("```").unwrap()];
    assert!(here.contains(example), "the README shows something else than crates/pavane/tests/it/readme.rs");
}

#[tokio::test]
async fn the_readmes_service_starts() {
    let db = Db::open(DbConfig::new("inventory", "sqlite::memory:")).await.unwrap();
    let bus = Memory::new(Arc::new(SystemClock));
    let app = service().connect_to(db, bus, Config::new("", "")).await.unwrap();
    assert_eq!(app.manifest().reactions.len(), 2);
}
