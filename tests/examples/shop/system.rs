//! The shop as a system: its services, its customers and its operator.

use std::{sync::Arc, time::Duration};

use contracts::{
    Address, Line, Money, OrderDetails,
    order::{CancelReason, OrderCancelled, OrderDeadlinePassed, OrderPlaced},
};
use inventory::Inventory;
use notification::{Mailer, Notification};
use order::Orders;
use pavane::{Correlation, SagaId};
use pavane_testkit::{BoxError, Saga, System, World};
use payment::{Payment, PspClient};
use shipping::Shipping;
use tempfile::TempDir;

use super::{books, provider::Provider};

const CANCEL_ORDER: pavane::EntryPoint = pavane::EntryPoint::new("cancel-order");
const PLACE_ORDER: pavane::EntryPoint = pavane::EntryPoint::new("place-order");

/// Pieces of each thing on the shelf.
pub(crate) const SHELF: i64 = 40;
const DEADLINE: Duration = Duration::from_mins(15);

/// Sets the shop up.
pub(crate) fn shop(system: &mut System) {
    if let Err(error) = set_up(system) {
        panic!("failed to set the shop up: {error}");
    }
}

fn set_up(system: &mut System) -> Result<(), BoxError> {
    let provider = Provider::start(system)?;
    let maildir = Arc::new(folder()?);
    system.service(|| order::service(Orders::default()));
    let mut settings = payment::Settings::default();
    provider.url().clone_into(&mut settings.psp_url);
    let client = PspClient::new(&settings)?;
    system.service(move || payment::service(Payment::new(client.clone())));
    system.service(|| inventory::service(Inventory));
    system.service(|| shipping::service(Shipping));
    let mut settings = notification::Settings::default();
    maildir.path().clone_into(&mut settings.maildir);
    Mailer::new(&settings)?;
    system.service(move || {
        let mailer = Mailer::new(&settings).unwrap_or_else(|error| panic!("failed to start the mailer: {error}"));
        notification::service(Notification::new(mailer))
    });
    system.given(fill_shelf);
    system.begin(place);
    system.interlude(cancel);
    system.invariant("the books", move |world| books::balance(world, provider.clone(), Arc::clone(&maildir)));
    Ok(())
}

/// A folder for mails, in memory where there is one: each mail is synced to its disk.
fn folder() -> std::io::Result<TempDir> {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new())
}

async fn fill_shelf(world: World) -> Result<(), BoxError> {
    for sku in ["tea", "cup"] {
        let fill = "insert into stock (sku, on_hand, reserved, shipped) values ($1, $2, 0, 0)";
        sqlx::query(fill).bind(sku).bind(SHELF).execute(world.db("inventory").writers()).await?;
    }
    Ok(())
}

/// Where every customer reads mail.
const EMAIL: &str = "ada@example.com";

/// What the entry point does when a customer orders.
async fn place(world: World, number: usize) -> Result<SagaId, BoxError> {
    let mut tx = world.entry("order", &PLACE_ORDER).begin(Correlation::start()).await?;
    let saga = tx.saga();
    let placed = placement(saga, number)?;
    let order_id = placed.order_id;
    let now = tx.now().as_microsecond();
    let insert = "insert into orders (id, email, currency, total_minor, lines, facts, status, version, placed_at, deadline_at) \
                  values ($1, $2, $3, $4, $5, 1, 'payment-pending', 1, $6, $6)";
    sqlx::query(insert)
        .bind(order_id.to_string())
        .bind(EMAIL)
        .bind(placed.total.currency.as_str())
        .bind(placed.total.minor)
        .bind(serde_json::to_string(&placed.details.lines)?)
        .bind(now)
        .execute(tx.conn())
        .await?;
    let history = "insert into order_history (order_id, version, fact, recorded_at) values ($1, 1, 'order.placed', $2)";
    sqlx::query(history).bind(order_id.to_string()).bind(now).execute(tx.conn()).await?;
    tx.emit_after(DEADLINE, &OrderDeadlinePassed { order_id }).await?;
    tx.emit(&placed).await?;
    tx.commit().await?;
    Ok(saga)
}

/// Orders of all kinds: some can't be paid, some not be charged, some are too large, some go where no carrier goes.
fn placement(saga: SagaId, number: usize) -> Result<OrderPlaced, BoxError> {
    let card = match number % 7 {
        2 => "pm_card_declined",
        4 => "pm_card_capture_fails",
        5 => "pm_card_error_once",
        _ => "pm_card_visa",
    };
    let quantity = if number % 11 == 10 { 1000 } else { 2 };
    let country = if number % 13 == 12 { "AQ" } else { "DE" };
    let unit_price = Money { minor: 499, currency: "EUR".parse()? };
    let total = unit_price.times(2 * quantity)?;
    let line = |sku: &str| Line { sku: sku.into(), quantity, unit_price: unit_price.clone() };
    let text = ToOwned::to_owned;
    let ship_to = Address {
        name: text("Ada"),
        street: text("Main Street 1"),
        city: text("Berlin"),
        postal_code: text("10115"),
        country: text(country),
    };
    let details = OrderDetails { lines: vec![line("tea"), line("cup")], ship_to };
    Ok(OrderPlaced { order_id: saga.as_uuid().into(), details, total, card: text(card) })
}

/// What the entry point does when a customer cancels.
async fn cancel(world: World, saga: Saga) -> Result<(), BoxError> {
    let OrderPlaced { order_id, total, .. } = placement(saga.id, saga.number)?;
    let mut tx = world.entry("order", &CANCEL_ORDER).begin(Correlation::of(saga.id)).await?;
    let reason = CancelReason::CustomerRequest;
    let _outcome = tx.decide(&OrderCancelled { order_id, email: EMAIL.to_owned(), total, reason }).await?;
    tx.commit().await?;
    Ok(())
}
