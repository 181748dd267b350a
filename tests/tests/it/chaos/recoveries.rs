//! What docs/operations.md says that an operator does after a loss, done to the shop while its customers order.

use std::time::Duration;

use demo::customer::Settled;
use pavane_testkit::history::{History, Record, Report};
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
/// As long as there is enough before and after.
const A_WHILE: Duration = Duration::from_secs(5);

/// The shop is open while something is lost and an operator brings it back, and for a while before and after. What was found then; no law may
/// be broken but these.
async fn lost_and_recovered(but_for: &[&str], lose_and_recover: impl AsyncFnOnce(&mut World)) -> (History, Report) {
    let started = Instant::now();
    let (mut world, shop) = Counter::open().await;
    let customers = Customers::arrive(CUSTOMERS, shop.orders(SEED));
    sleep(A_WHILE).await;
    lose_and_recover(&mut world).await;
    sleep(A_WHILE).await;
    let orders: Vec<Settled> = customers.leave().await;
    println!("{:?}: all have ended", started.elapsed());
    shop.note(&world.recorder, &orders).await;
    let (history, report) = world.at_rest(but_for).await;
    let report = report.and("the books balance", 8, shop.unbalanced(&orders).await);
    println!("{:?}: {} orders\n{report}", started.elapsed(), orders.len());
    assert!(orders.iter().all(|order| order.end.is_some()), "an order did not end");
    assert!(broken(&report).iter().all(|law| but_for.contains(law)), "{report}");
    (history, report)
}

/// "The streams are gone", 2.: there is a backup. What was published since is in the outboxes, and comes again once their relays have noticed
/// that it is missing: later events of the same saga may be there before.
#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_events_is_restored_from_a_backup() {
    lost_and_recovered(&["events of a key are published in the order of their commits"], async |world| {
        let backup = nats::back_up(&world.nats.url()).await;
        sleep(A_WHILE).await;
        nats::delete_events(&world.nats.url()).await;
        sleep(A_WHILE).await;
        nats::restore(&world.nats.url(), &backup).await;
    })
    .await;
}

/// "The streams are gone", 3.: there is none. All servers come back with empty disks, and the first service that is restarted makes the
/// streams. The others are restarted so that they say again what they do.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_nats_cluster_is_rebuilt_from_the_outboxes() {
    lost_and_recovered(&[], async |world| {
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
}

/// "A database was restored from a backup", to an earlier moment: nothing is left but what is listed there, and the books balance.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_to_an_earlier_moment_leaves_what_is_documented() {
    let service = "inventory";
    let (history, report) = lost_and_recovered(&FORGOTTEN, async |world| {
        stop(world, service).await;
        server(world, &format!("create database backup template {service}")).await;
        start(world, service).await;
        sleep(A_WHILE).await;
        stop(world, service).await;
        let written = history(world, service).await;
        server(world, &format!("drop database {service}")).await;
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
    for record in history.records() {
        if let Record::GivenUp(letter) = record {
            assert!(letter.cause.contains("has this step already"), "{letter:?}");
        }
    }
}

async fn stop(world: &mut World, service: &str) {
    for instance in 0..INSTANCES {
        world.instance(service, instance).process.terminate().await.unwrap();
    }
}

async fn start(world: &mut World, service: &str) {
    for instance in 0..INSTANCES {
        world.instance(service, instance).start().await;
    }
}

async fn server(world: &World, sql: &str) {
    let mut conn = PgConnection::connect(&world.postgres.url("postgres")).await.unwrap();
    conn.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
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
