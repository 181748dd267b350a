//! The shop as a system: what its customers and its operator do, and what must be true in the end.

use std::collections::BTreeMap;

use pavane::{Correlation, Envelope, Event as _, SagaId};
use pavane_bus::Outgoing;
use pavane_contract::{
    Cause, EventId, EventRef, Meta,
    codec::{self, Headers},
    subject,
};
use pavane_testkit::{BoxError, Saga, System, Violation, World};
use sqlx::Row as _;

use crate::shop::{
    Bank, Bug, CANCEL, DEADLINE, OrderCancelled, OrderDeadlinePassed, OrderPlaced, PLACE, RICH, Scales, order, payment,
    stock,
};

/// Sets the shop up.
pub(crate) fn shop(system: &mut System) {
    with_bug(system, None);
}

/// Sets the shop up with a mistake in it.
pub(crate) fn with_bug(system: &mut System, bug: Option<Bug>) {
    let bank = Bank::behind(system.network(), bug);
    let scales = Scales::with(bug);
    system.service(move || order(bug));
    system.service({
        let bank = bank.clone();
        move || payment(bank.clone())
    });
    system.service({
        let scales = scales.clone();
        move || stock(scales.clone())
    });
    system.begin(move |world, number| place(world, number, bug == Some(Bug::TwoTransactions)));
    system.interlude(cancel);
    // Not an interlude of its own: the others would be rarer.
    system.interlude(move |world, saga| async move {
        babble(&world, saga);
        hesitate(world, saga, bug == Some(Bug::CancelOutside)).await
    });
    system.interlude({
        let scales = scales.clone();
        move |world, _| {
            let repaired = redrive(world, scales.clone());
            async move { repaired.await.map(drop) }
        }
    });
    system.repair(move |world| redrive(world, scales.clone()));
    system.invariant("money and stock", move |world| balance(world, bank.clone()));
}

async fn place(world: World, number: usize, in_two: bool) -> Result<SagaId, BoxError> {
    let order = number.to_string();
    // Every seventh customer can't pay; some want what the scales can't count, some what never comes, and some more than there is.
    let cents = if number % 7 == 6 { RICH } else { PRICE };
    let pieces = match number {
        _ if number % 11 == 10 => Scales::UNLUCKY,
        _ if number % 13 == 12 => Scales::HEAVY,
        _ if number % 8 == 7 => Scales::NEVER,
        _ if number % 5 == 4 => 100,
        _ => 3,
    };
    let entry = world.entry("order", &PLACE);
    let mut tx = entry.begin(Correlation::start()).await?;
    let saga = tx.saga();
    sqlx::query("insert into orders (id) values ($1)").bind(&order).execute(tx.conn()).await?;
    if in_two {
        tx.commit().await?;
        tx = entry.begin(Correlation::of(saga)).await?;
    }
    tx.emit(&OrderPlaced { order: order.clone(), cents, pieces }).await?;
    tx.emit_after(DEADLINE, &OrderDeadlinePassed { order }).await?;
    tx.commit().await?;
    Ok(saga)
}

async fn cancel(world: World, saga: Saga) -> Result<(), BoxError> {
    let mut tx = world.entry("order", &CANCEL).begin(Correlation::of(saga.id)).await?;
    let _outcome = tx.decide(&OrderCancelled { order: saga.number.to_string() }).await?;
    tx.commit().await?;
    Ok(())
}

/// A customer cancels and thinks better of it: nothing of that is left, and the order still has its deadline.
async fn hesitate(world: World, saga: Saga, outside: bool) -> Result<(), BoxError> {
    let entry = world.entry("order", &CANCEL);
    if outside {
        let mut tx = entry.begin(Correlation::of(saga.id)).await?;
        let _cancelled = tx.cancel::<OrderDeadlinePassed>().await?;
        tx.commit().await?;
    }
    let mut tx = entry.begin(Correlation::of(saga.id)).await?;
    let _outcome = tx.decide(&OrderCancelled { order: saga.number.to_string() }).await?;
    tx.rollback().await?;
    Ok(())
}

/// Somebody publishes what nobody can read; and somebody who may redrive says, in the order's name, what the order didn't.
fn babble(world: &World, saga: Saga) {
    let said = |subject: String, headers, payload: Vec<u8>, what: &str| {
        let message_id = format!("{what}-{}", saga.id);
        drop(world.bus().try_publish(vec![Outgoing { subject, headers, payload: payload.into(), message_id }]));
    };
    said(format!("events.payment.charged.{}", saga.number), Headers::default(), b"?".to_vec(), "babble");
    let order = OrderPlaced { order: saga.number.to_string(), cents: 1, pieces: 1 };
    let clock = world.db("order").clock();
    let meta = Meta {
        id: EventId::new(clock),
        event: EventRef::of::<OrderPlaced>(),
        key: order.key(),
        source: "order".to_owned(),
        time: clock.now(),
        cause: Cause::new(SagaId::new(clock), clock.now()),
    };
    let body = serde_json::to_vec(&order).unwrap_or_default();
    let subject = format!("redrive.payment.charge.{}", subject::of(&meta.event, &meta.key));
    said(subject, codec::encode(&Envelope { meta: meta.into(), body: () }), body, "lie");
}

/// Repairs the scales, and gives the stock service what it gave up on once more.
async fn redrive(world: World, scales: Scales) -> Result<bool, BoxError> {
    scales.repair();
    let given_up = world.given_up().await?;
    for letter in &given_up {
        world.redrive(letter);
    }
    Ok(!given_up.is_empty())
}

/// What an order costs, in cents.
const PRICE: i64 = 1000;

/// Confirmed orders are paid and have their pieces; all others have neither.
async fn balance(world: World, bank: Bank) -> Result<Vec<Violation>, BoxError> {
    let mut violations = Vec::new();
    let db = world.db("stock").readers();
    let reservations = sqlx::query("select order_id, pieces from reservations").fetch_all(db).await?;
    let reserved: BTreeMap<String, i64> = reservations.iter().map(|row| (row.get(0), row.get(1))).collect();
    let shelf = sqlx::query("select pieces, shipped from shelf").fetch_one(db).await?;
    let (shelf, shipped): (i64, i64) = (shelf.get(0), shelf.get(1));
    let total: i64 = reserved.values().sum();
    if shelf + total != 60 || shipped != total {
        let what = format!("{shelf} pieces are on the shelf, {shipped} are shipped, reserved are {reserved:?}");
        violations.push(Violation::overall(what));
    }
    let hasty = world.dead_letters().into_iter().filter(|letter| letter.cause == Scales::CLEANED);
    violations.extend(hasty.map(|letter| Violation::overall(format!("{} was given up too early", letter.subject))));
    let events = world.events();
    let about = |name: &str| -> BTreeMap<String, SagaId> {
        let named = events.iter().filter(|event| event.meta.event.name == name);
        named.map(|event| (event.meta.key.to_string(), event.meta.cause.saga)).collect()
    };
    let (placed, confirmed, mut cancelled) =
        (about("order.placed"), about("order.confirmed"), about("order.cancelled"));
    cancelled.extend(about("order.expired"));
    for row in sqlx::query("select id from orders order by id").fetch_all(world.db("order").readers()).await? {
        let order: String = row.get(0);
        let Some(saga) = placed.get(&order) else {
            violations.push(Violation::overall(format!("order {order} was taken and nobody was told")));
            continue;
        };
        let expected = match (confirmed.contains_key(&order), cancelled.contains_key(&order)) {
            (true, false) => (PRICE, true),
            (false, true) => (0, false),
            both => {
                violations.push(Violation::of(*saga, format!("order {order} is (confirmed, cancelled): {both:?}")));
                continue;
            }
        };
        let found = (bank.taken(&order), reserved.contains_key(&order));
        if found != expected {
            let what = format!("order {order} should be (paid, reserved): {expected:?}, and is {found:?}");
            violations.push(Violation::of(*saga, what));
        }
    }
    Ok(violations)
}
