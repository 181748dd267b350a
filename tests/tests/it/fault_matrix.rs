//! The shop's five services under the fault matrix.

use std::{collections::BTreeSet, sync::Arc};

use contracts::{
    Address, Line, Money, OrderDetails, OrderId,
    inventory::{StockRejected, StockReleased, StockReserved},
    order::{CancelReason, OrderCancelled, OrderConfirmed, OrderDeadlinePassed, OrderPlaced},
    payment::{
        PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
    },
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use inventory::Inventory;
use notification::{Mailer, Notification};
use order::Orders;
use pavane_choreography::Manifest;
use pavane_contract::SystemClock;
use pavane_testkit::{FaultMatrix, fault_matrix};
use payment::{Payment, PspClient};
use psp::Psp;
use shipping::Shipping;
use tempfile::TempDir;
use tokio::net::TcpListener;

fn order_id() -> OrderId {
    "0192f0c8-5b3e-7d3a-9a51-0c7e5a1b2c3d".parse().unwrap()
}

fn total() -> Money {
    Money { minor: 998, currency: "EUR".parse().unwrap() }
}

fn details() -> OrderDetails {
    let text = ToOwned::to_owned;
    let unit_price = Money { minor: 499, currency: "EUR".parse().unwrap() };
    OrderDetails {
        lines: vec![Line { sku: "tea".into(), quantity: 2, unit_price }],
        ship_to: Address {
            name: text("Ada"),
            street: text("Main Street 1"),
            city: text("Berlin"),
            postal_code: text("10115"),
            country: text("DE"),
        },
    }
}

fn cancelled() -> OrderCancelled {
    let reason = CancelReason::CustomerRequest;
    OrderCancelled { order_id: order_id(), email: "ada@example.com".to_owned(), total: total(), reason }
}

fn confirmed() -> OrderConfirmed {
    OrderConfirmed { order_id: order_id(), email: "ada@example.com".to_owned(), total: total() }
}

/// What every reaction is tried with.
const ALWAYS: [&str; 11] = [
    "no fault",
    "delivered twice at once",
    "delivered again later",
    "crash before the commit",
    "crash after the commit",
    "crash before the ack",
    "crash after the ack",
    "error of the database",
    "a body that can't be read",
    "a message that is no event",
    "an unknown version",
];
/// And one that emits something.
const EMITS: [&str; 3] = ["crash before the publish", "crash after the publish", "crash after the mark"];
/// And one with an effect.
const CALLS: [&str; 2] = ["crash before the call", "crash after the call"];
/// And a step.
const UNDONE: [&str; 3] =
    ["what its undo is for is emitted once", "the undo before the step", "the step again after its undo"];
/// And a step with an effect.
const RUNNING: [&str; 2] =
    ["the undo while the step runs, before the call", "the undo while the step runs, after the call"];

/// Runs a service's matrix; neither may a case fail, nor one be left out silently.
async fn assert_whole<S: Send + Sync + 'static>(manifest: Manifest, matrix: FaultMatrix<S>) {
    let report = matrix.run().await;
    assert!(report.is_passed(), "{report}");
    for reaction in &manifest.reactions {
        let tried = report.cases.iter().filter(|case| case.reaction == reaction.name);
        let tried: BTreeSet<&str> = tried.map(|case| kind(&case.fault)).collect();
        let is_step = manifest.undo_of(reaction).is_some();
        let mut expected = BTreeSet::from(ALWAYS);
        expected.extend(EMITS.into_iter().filter(|_| !reaction.emits.is_empty()));
        expected.extend(CALLS.into_iter().filter(|_| reaction.effect));
        expected.extend(UNDONE.into_iter().filter(|_| is_step));
        expected.extend(RUNNING.into_iter().filter(|_| is_step && reaction.effect));
        assert_eq!(tried, expected, "{}/{}", manifest.service, reaction.name);
    }
}

/// A fault without the numbers.
fn kind(fault: &str) -> &str {
    [" (", " at row "].iter().fold(fault, |fault, number| fault.split(number).next().unwrap_or(fault))
}

#[tokio::test]
async fn order() {
    let order_id = order_id();
    let start = || order::service(Orders::default());
    let manifest = start().manifest();
    let matrix = fault_matrix(start)
        .saga(order_id.as_uuid().into())
        .given(|db| async move {
            let order = "insert into orders (id, email, currency, total_minor, lines, facts, status, version, placed_at, \
                         deadline_at) values ($1, 'ada@example.com', 'EUR', 998, '[]', 1, 'payment-pending', 1, 0, 0)";
            sqlx::query(order).bind(self::order_id().to_string()).execute(db.writers()).await.unwrap();
        })
        .event(&PaymentAuthorized { order_id, amount: total(), details: details() })
        .event(&StockReserved { order_id, ship_to: details().ship_to })
        .event(&ShipmentCreated { order_id })
        .event(&PaymentVoided { order_id, amount: total() })
        .event(&PaymentRefunded { order_id, amount: total() })
        .event(&StockReleased { order_id })
        .event(&ShipmentCancelled { order_id })
        .event(&PaymentCaptured { order_id, amount: total() })
        .event(&PaymentDeclined { order_id })
        .event(&PaymentCaptureFailed { order_id })
        .event(&StockRejected { order_id, sku: "tea".into() })
        .event(&ShipmentRejected { order_id })
        .event(&OrderDeadlinePassed { order_id })
        ;
    assert_whole(manifest, matrix).await;
}

#[tokio::test]
async fn payment() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = payment::Settings::default();
    settings.psp_url = format!("http://{}", listener.local_addr().unwrap());
    let faults = psp::Faults { slow: std::time::Duration::ZERO, hold: std::time::Duration::ZERO };
    let psp = Psp::open("sqlite::memory:", Arc::new(SystemClock), faults).await.unwrap();
    let serving = tokio::spawn(psp::serve(listener, psp, std::future::pending()));
    let client = PspClient::new(&settings).unwrap();
    let placed =
        |card: &str| OrderPlaced { order_id: order_id(), details: details(), total: total(), card: card.into() };
    let start = move || payment::service(Payment::new(client.clone()));
    let manifest = start().manifest();
    let matrix = fault_matrix(start)
        .event(&placed("pm_card_visa"))
        .event(&placed("pm_card_declined"))
        .event(&placed("pm_card_error_once"))
        .event(&ShipmentCreated { order_id: order_id() })
        .event(&cancelled())
        .before("capture-payment", &placed("pm_card_visa"));
    assert_whole(manifest, matrix).await;
    serving.abort();
}

#[tokio::test]
async fn inventory() {
    let mut too_much = details();
    too_much.lines[0].quantity = 100;
    let authorized = |details| PaymentAuthorized { order_id: order_id(), amount: total(), details };
    let start = || inventory::service(Inventory);
    let manifest = start().manifest();
    let matrix = fault_matrix(start)
        .given(|db| async move {
            let stock = "insert into stock (sku, on_hand, reserved, shipped) values ('tea', 10, 0, 0)";
            sqlx::query(stock).execute(db.writers()).await.unwrap();
        })
        .event(&authorized(details()))
        .event(&authorized(too_much))
        .event(&cancelled())
        .event(&confirmed())
        .before("ship-stock", &authorized(details()));
    assert_whole(manifest, matrix).await;
}

#[tokio::test]
async fn shipping() {
    let mut nowhere = details().ship_to;
    nowhere.country = "AQ".into();
    let start = || shipping::service(Shipping);
    let manifest = start().manifest();
    let matrix = fault_matrix(start)
        .event(&StockReserved { order_id: order_id(), ship_to: details().ship_to })
        .event(&StockReserved { order_id: order_id(), ship_to: nowhere })
        .event(&cancelled())
        .event(&confirmed())
        .before("dispatch-shipment", &StockReserved { order_id: order_id(), ship_to: details().ship_to });
    assert_whole(manifest, matrix).await;
}

#[tokio::test]
async fn notification() {
    let maildir = TempDir::new().unwrap();
    let mut settings = notification::Settings::default();
    settings.maildir = maildir.path().to_owned();
    let start = move || notification::service(Notification::new(Mailer::new(&settings).unwrap()));
    let manifest = start().manifest();
    let matrix = fault_matrix(start).event(&confirmed()).event(&cancelled());
    Box::pin(assert_whole(manifest, matrix)).await;
}
