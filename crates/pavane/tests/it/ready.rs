//! Whether a service is ready is answered at once, whatever stands in its tables, and is no once it stops.

use std::{sync::Arc, time::Duration};

use pavane::{Config, any::Db, database::Config as DbConfig};
use pavane_bus::Memory;
use pavane_contract::SystemClock;
use pavane_testkit::servers::Postgres;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::stage::{State, service};

#[tokio::test]
async fn readiness_does_not_read_the_outbox() {
    let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    let db = Db::open(DbConfig::new("stage", &url)).await.unwrap();
    let bus = Memory::new(Arc::new(SystemClock));
    let app = service(State::default()).connect_to(db, bus, Config::new("")).await.unwrap();
    let readiness = app.readiness();

    // A query that reads one of these waits now.
    let mut holder = PgConnection::connect(&url).await.unwrap();
    let mut holding = holder.begin().await.unwrap();
    let tables = "pavane_outbox, pavane_unsent, pavane_timer, pavane_inbox";
    holding.execute(sqlx::AssertSqlSafe(format!("lock table {tables} in access exclusive mode"))).await.unwrap();
    let missing = tokio::time::timeout(Duration::from_mins(1), readiness.missing()).await;
    assert_eq!(missing.expect("an answer"), [""; 0]);
}

#[tokio::test]
async fn a_service_that_was_told_to_stop_is_not_ready() {
    let db = Db::open(DbConfig::new("stage", "sqlite::memory:")).await.unwrap();
    let bus = Memory::new(Arc::new(SystemClock));
    let app = service(State::default()).connect_to(db, bus, Config::new("")).await.unwrap();
    let readiness = app.readiness();
    assert_eq!(readiness.missing().await, [""; 0]);
    app.run_until(std::future::ready(())).await.unwrap();
    let missing = readiness.missing().await;
    assert!(missing.iter().any(|it| it == "the service is stopping"), "{missing:?}");
}
