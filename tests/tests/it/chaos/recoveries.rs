//! What docs/operations.md says that an operator does after a loss, done to the shop while its customers order.

use std::{collections::BTreeSet, time::Duration};

use demo::customer::Settled;
use pavane_contract::SagaId;
use pavane_testkit::{
    history::{Change, History, Record, Report, Row},
    until,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::{Instant, sleep};

use super::{
    customers::Customers,
    nats,
    shop::Counter,
    world::{INSTANCES, World, broken},
};

const CUSTOMERS: usize = 6;
const SEED: u64 = 1;
/// The laws that a service breaks that has forgotten what it did, and does it again.
const FORGOTTEN: [&str; 2] = ["a step is kept, or undone once", "an event is handled once by each reaction"];
/// How many steps more of the inventory are work enough.
const STEPS: i64 = 5;
/// How long nothing is published.
const A_WHILE: Duration = Duration::from_secs(5);
/// For an order.
const PATIENCE: Duration = Duration::from_mins(2);

/// What was found after a recovery.
struct Found {
    history: History,
    report: Report,
    /// The sagas of orders that did not end.
    endless: Vec<SagaId>,
}

/// The shop is open while something is lost and an operator brings it back, and before and after. No law may be broken but these.
async fn lost_and_recovered(but_for: &[&str], lose_and_recover: impl AsyncFnOnce(&mut World)) -> Found {
    let started = Instant::now();
    let (mut world, shop) = Counter::open().await;
    let customers = Customers::arrive(CUSTOMERS, shop.orders(SEED, PATIENCE));
    work(&world).await;
    lose_and_recover(&mut world).await;
    work(&world).await;
    let orders: Vec<Settled> = customers.leave().await;
    let endless: Vec<_> = orders.iter().filter(|order| order.end.is_none()).collect();
    println!("{:?}: {} orders, of which did not end: {endless:?}", started.elapsed(), orders.len());
    shop.note(&world.recorder, &orders).await;
    let (history, report) = world.at_rest(but_for).await;
    let (looked_at, mut unbalanced) = shop.audit(&orders).await;
    if !endless.is_empty() {
        // As these are not counted.
        unbalanced.retain(|violation| !violation.what.starts_with("orders with exactly one outcome: "));
    }
    let report = report.and("the books balance", looked_at, unbalanced);
    println!("{:?}\n{report}", started.elapsed());
    assert!(broken(&report).iter().all(|law| but_for.contains(law)), "{report}");
    assert!(report.laws().iter().all(|law| law.looked_at > 0 || law.name == "nothing is given up"), "{report}");
    Found { history, report, endless: endless.iter().map(|order| order.order_id.parse().unwrap()).collect() }
}

/// "The streams are gone", 2.: there is a backup. What was published since is in the outboxes, and comes again once their relays have noticed
/// that it is missing: later events of the same saga may be there before.
#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_events_is_restored_from_a_backup() {
    let order = "events of a key are published in the order of their commits";
    let found = lost_and_recovered(&[order], async |world| {
        let backup = nats::back_up(&world.nats.url()).await;
        work(world).await;
        nats::delete_events(&world.nats.url()).await;
        // Customers order, and nothing is published.
        sleep(A_WHILE).await;
        nats::restore(&world.nats.url(), &backup).await;
    })
    .await;
    assert!(found.endless.is_empty());
}

/// "The streams are gone", 3.: there is none. All servers come back with empty disks, and the first service that is restarted makes the
/// streams. The others are restarted so that they say again what they do.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_nats_cluster_is_rebuilt_from_the_outboxes() {
    let found = lost_and_recovered(&[], async |world| {
        for server in world.nats.servers() {
            server.kill().await.unwrap();
        }
        for server in world.nats.servers() {
            server.restart_empty().await.unwrap();
        }
        world.nats.wait_until_formed().await.unwrap();
        for service in world.services() {
            for instance in 0..INSTANCES {
                world.instance(service, instance).start().await;
            }
        }
    })
    .await;
    assert!(found.endless.is_empty());
}

/// "A database was restored from a backup", to an earlier moment: nothing is left but what is listed there, and the books balance.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_to_an_earlier_moment_leaves_what_is_documented() {
    let service = "inventory";
    let Found { history, report, endless } = lost_and_recovered(&FORGOTTEN, async |world| {
        stop(world, service).await;
        server(world, &format!("create database backup template {service}")).await;
        start(world, service).await;
        work(world).await;
        stop(world, service).await;
        let written = history(world, service).await;
        server(world, &format!("drop database {service} with (force)")).await;
        server(world, &format!("alter database backup rename to {service}")).await;
        // What was committed and is lost was committed.
        keep(world, service, &written).await;
        nats::delete_consumers_of(&world.nats.url(), service).await;
        start(world, service).await;
    })
    .await;
    assert_eq!(broken(&report), FORGOTTEN);
    for violation in report.violations() {
        assert!(violation.what.contains("inventory/"), "{violation}");
    }
    // The undo came before its step when both came again: nothing is reserved, and nobody is told that it was released.
    let barred: BTreeSet<_> = history.records().iter().filter_map(barred).collect();
    assert!(endless.iter().all(|saga| barred.contains(saga)), "{endless:?}");
    for record in history.records() {
        if let Record::GivenUp(letter) = record {
            assert!(letter.cause.contains("has this step already"), "{letter:?}");
        }
    }
}

/// The saga whose reservation is barred.
fn barred(record: &Record) -> Option<SagaId> {
    let Record::Changed(Change { row: Row::Ledger { saga, step, state, .. }, .. }) = record else { return None };
    (step == "reserve-stock" && state == "barred").then_some(*saga)
}

async fn stop(world: &mut World, service: &str) {
    for instance in 0..INSTANCES {
        // One that can't finish what it does ends with an error.
        drop(world.instance(service, instance).process.terminate().await);
    }
}

async fn start(world: &mut World, service: &str) {
    for instance in 0..INSTANCES {
        world.instance(service, instance).start().await;
    }
}

/// Tries until it works: connections that were closed may take a moment to be gone.
async fn server(world: &World, sql: &str) {
    let mut conn = PgConnection::connect(&world.postgres.url("postgres")).await.unwrap();
    until(sql, async || conn.execute(AssertSqlSafe(sql.to_owned())).await.ok()).await;
}

/// Until more orders have come to the inventory.
async fn work(world: &World) {
    let mut conn = PgConnection::connect(&world.postgres.url("inventory")).await.unwrap();
    let mut steps = async || -> i64 {
        sqlx::query_scalar("select count(*) from pavane_ledger").fetch_one(&mut conn).await.unwrap()
    };
    let enough = steps().await + STEPS;
    until("more orders to be worked on", async || (steps().await >= enough).then_some(())).await;
    conn.close().await.unwrap();
}

async fn history(world: &World, service: &str) -> String {
    let mut conn = PgConnection::connect(&world.postgres.url(service)).await.unwrap();
    let rows = sqlx::query_scalar("select jsonb_agg(to_jsonb(pavane_history))::text from pavane_history");
    rows.fetch_one(&mut conn).await.unwrap()
}

async fn keep(world: &World, service: &str, written: &str) {
    let mut conn = PgConnection::connect(&world.postgres.url(service)).await.unwrap();
    let keep = "insert into pavane_history overriding system value
                select * from jsonb_populate_recordset(null::pavane_history, $1::jsonb)";
    conn.execute("truncate pavane_history").await.unwrap();
    sqlx::query(keep).bind(written).execute(&mut conn).await.unwrap();
    conn.execute("select setval(pg_get_serial_sequence('pavane_history', 'id'), (select max(id) from pavane_history))")
        .await
        .unwrap();
}
