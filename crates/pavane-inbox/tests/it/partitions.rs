//! The inbox on PostgreSQL, in partitions.

use std::time::Duration;

use pavane_contract::{Clock as _, EventId};
use pavane_inbox::{INBOX, forget, keep_partitions};
use pavane_outbox::{Db, chain};
use sqlx::Row as _;

use crate::{
    clock::Ahead,
    stage::{Stage, database, fresh_url, migrate_to_one_table},
};

const WEEK: Duration = Duration::from_hours(7 * 24);
const RETENTION: Duration = Duration::from_hours(45 * 24);
const DEFAULT: &str = "pavane_inbox_default";
const BEFORE: &str = "pavane_inbox_before";

/// Lets time pass, with maintenance at work.
async fn pass(stage: &Stage, weeks: u32) {
    for _ in 0..weeks {
        stage.clock.pass_with(&stage.db, WEEK).await;
        keep_partitions(&stage.db, RETENTION).await.unwrap();
        while forget(&stage.db, RETENTION).await.unwrap() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_partition_is_dropped_and_younger_events_stay_handled() {
    let mut stage = Stage::open().await;
    let old = stage.id();
    assert_eq!(stage.deliver(old).await, 1);
    assert_eq!(stage.partition_of(old).await.as_deref(), Some(BEFORE));
    pass(&stage, 4).await;
    let young = stage.id();
    assert_eq!(stage.deliver(young).await, 1);
    let week = stage.partition_of(young).await.unwrap();
    assert!(week.starts_with("pavane_inbox_2"), "{week}");
    assert_eq!(stage.deliver(old).await, 1, "it is not forgotten before its time");
    pass(&stage, 4).await;
    assert!(!partitions(&stage.db).await.contains(&BEFORE.to_owned()), "{:?}", partitions(&stage.db).await);
    assert_eq!(stage.partition_of(young).await, Some(week.clone()));
    assert_eq!(stage.deliver(young).await, 1);
    assert_eq!(stage.deliver(old).await, 2, "it is forgotten");
    pass(&stage, 4).await;
    assert!(!partitions(&stage.db).await.contains(&week));
    assert_eq!(stage.partition_of(young).await, None);
    pass(&stage, 30).await;
    let left = partitions(&stage.db).await;
    assert!((12..=13).contains(&left.len()), "of 45 days, this week and four to come, and the default: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_id_that_is_handled_today_is_not_forgotten_with_its_week() {
    let mut stage = Stage::open().await;
    let (old, redriven, later) = (stage.id(), stage.id(), stage.id());
    assert_eq!(stage.deliver(old).await, 1);
    pass(&stage, 4).await;
    assert_eq!(stage.deliver(redriven).await, 1);
    assert_eq!(stage.partition_of(redriven).await.as_deref(), Some(BEFORE));
    pass(&stage, 4).await;
    assert!(!partitions(&stage.db).await.contains(&BEFORE.to_owned()));
    assert_eq!(stage.partition_of(old).await, None);
    assert_eq!(stage.partition_of(redriven).await.as_deref(), Some(DEFAULT));
    assert_eq!(stage.deliver(redriven).await, 1, "it was handled within the retention");
    assert_eq!(stage.deliver(later).await, 1, "whose week has gone before it comes");
    assert_eq!(stage.partition_of(later).await.as_deref(), Some(DEFAULT));
    pass(&stage, 4).await;
    assert_eq!(stage.deliver(later).await, 1);
    pass(&stage, 4).await;
    assert_eq!((stage.partition_of(redriven).await, stage.partition_of(later).await), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_with_many_events_that_were_handled_late_stays_without_its_old_ones() {
    let mut stage = Stage::open().await;
    let (old, late) = (stage.id(), stage.id());
    assert_eq!(stage.deliver(old).await, 1);
    pass(&stage, 4).await;
    assert_eq!(stage.deliver(late).await, 1);
    let more = "insert into pavane_inbox select reaction, pavane_inbox_id(n * 1000), handled_at \
                from pavane_inbox, generate_series(1, 1000) as n where event_id = $1::uuid";
    sqlx::query(more).bind(late.to_string()).execute(stage.db.writers()).await.unwrap();
    pass(&stage, 4).await;
    assert_eq!(stage.partition_of(old).await, None);
    assert_eq!(stage.partition_of(late).await.as_deref(), Some(BEFORE));
    assert_eq!(stage.deliver(late).await, 1);
    pass(&stage, 4).await;
    assert!(!partitions(&stage.db).await.contains(&BEFORE.to_owned()));
    assert_eq!(rows(&stage.db).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_tell_no_time_are_remembered_as_long_as_others() {
    let mut stage = Stage::open().await;
    let foreign: EventId = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6".parse().unwrap();
    assert_eq!(stage.deliver(foreign).await, 1);
    assert_eq!(stage.partition_of(foreign).await.as_deref(), Some(DEFAULT));
    // From a clock that is five weeks ahead: there is no partition yet, and then there is one.
    let clock = Ahead::default();
    clock.pass(WEEK * 5);
    let ahead = EventId::new(&clock);
    assert_eq!(stage.deliver(ahead).await, 1);
    assert_eq!(stage.partition_of(ahead).await.as_deref(), Some(DEFAULT));
    pass(&stage, 3).await;
    assert!(stage.partition_of(ahead).await.is_some_and(|week| week.starts_with("pavane_inbox_2")));
    assert_eq!(stage.deliver(ahead).await, 1);
    assert_eq!(stage.deliver(foreign).await, 1);
    pass(&stage, 4).await;
    assert_eq!(stage.partition_of(foreign).await, None);
    assert_eq!(stage.deliver(foreign).await, 2, "it is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_table_becomes_partitions_without_losing_a_row() {
    let (url, clock) = (fresh_url().await, Ahead::default());
    let db = database(&url, &clock).await;
    migrate_to_one_table(&db).await;
    let fill = "insert into pavane_inbox select 'file', (lpad(to_hex($1 + n * 600000::bigint), 12, '0') || \
                '70008000' || substr(md5(n::text), 1, 12))::uuid, $1 * 1000 from generate_series(-10000, 10000) as n \
                union all select 'file', md5(n::text)::uuid, $1 * 1000 from generate_series(1, 1000) as n";
    sqlx::query(fill).bind(clock.now().as_millisecond()).execute(db.writers()).await.unwrap();
    let filled = fingerprint(&db).await;
    assert_eq!(filled.0, 21_001);
    db.migrate(&INBOX).await.unwrap();
    assert_eq!(fingerprint(&db).await, filled);
    let spread: Vec<String> = names(&db, "select distinct tableoid::regclass::text from pavane_inbox order by 1").await;
    assert_eq!(spread.len(), 6, "what was, four weeks to come, and the default: {spread:?}");
    let mut stage = Stage::on(&url, clock).await;
    for known in names(&db, "select event_id::text from pavane_inbox order by md5(event_id::text) limit 20").await {
        assert_eq!(stage.deliver(known.parse().unwrap()).await, 0, "{known} was handled before");
    }
    let new = stage.id();
    assert_eq!(stage.deliver(new).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_make_tables_old_rows_go_one_by_one() {
    let (url, clock) = (fresh_url().await, Ahead::default());
    let mut stage = Stage::on(&url, clock.clone()).await;
    let (old, late) = (stage.id(), stage.id());
    assert_eq!(stage.deliver(old).await, 1);
    clock.pass_with(&stage.db, WEEK * 6).await;
    assert_eq!(stage.deliver(late).await, 1);
    let poor = "create role poor login; grant all on all tables in schema public to poor";
    sqlx::raw_sql(poor).execute(stage.db.writers()).await.unwrap();
    let poor = database(&url.replace("postgres@", "poor@"), &clock).await;
    // Eight weeks in all: what there was at first is older than the retention then, whatever day of the week it is today.
    clock.pass_with(&stage.db, WEEK * 2).await;
    let refused = chain(&keep_partitions(&poor, RETENTION).await.unwrap_err());
    assert!(refused.contains("permission denied for schema public"), "{refused}");
    assert!(partitions(&stage.db).await.contains(&BEFORE.to_owned()));
    assert_eq!(stage.partition_of(old).await, None);
    assert_eq!(stage.deliver(late).await, 1);
    let now = stage.id();
    assert_eq!(stage.deliver(now).await, 1);
    assert_eq!(stage.partition_of(now).await.as_deref(), Some(DEFAULT));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_tables_can_lend_the_right_to_make_and_drop_weeks() {
    let (url, clock) = (fresh_url().await, Ahead::default());
    let mut stage = Stage::on(&url, clock.clone()).await;
    let old = stage.id();
    assert_eq!(stage.deliver(old).await, 1);
    // As the operations manual has it.
    let lend = "create role borrower login; \
                grant select, insert, update, delete on all tables in schema public to borrower; \
                alter function pavane_inbox_extend(bigint) security definer set search_path = public, pg_temp; \
                alter function pavane_inbox_drop(text, bigint) security definer set search_path = public, pg_temp";
    sqlx::raw_sql(lend).execute(stage.db.writers()).await.unwrap();
    let borrower = database(&url.replace("postgres@", "borrower@"), &clock).await;
    for _ in 0..9 {
        clock.pass_with(&stage.db, WEEK).await;
        keep_partitions(&borrower, RETENTION).await.unwrap();
    }
    assert!(!partitions(&stage.db).await.contains(&BEFORE.to_owned()), "{:?}", partitions(&stage.db).await);
    let now = stage.id();
    let claim = sqlx::query("insert into pavane_inbox values ('other', $1::uuid, $2)").bind(now.to_string());
    claim.bind(clock.now().as_microsecond()).execute(borrower.writers()).await.unwrap();
    assert_eq!(stage.deliver(now).await, 1);
    assert!(stage.partition_of(now).await.is_some_and(|week| week.starts_with("pavane_inbox_2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_clock_is_far_ahead_forgets_nothing() {
    let url = fresh_url().await;
    let mut stage = Stage::on(&url, Ahead::default()).await;
    let handled = stage.id();
    assert_eq!(stage.deliver(handled).await, 1);
    let rows = "insert into pavane_ledger (saga, step, state, changed_at) \
                values ('01a2029d-59b0-7a52-b73b-7c0e8ddc2a51', 'file', 'done', pavane_now()); \
                insert into pavane_attempt values ('file', '01a2029d-59b0-7a52-b73b-7c0e8ddc2a51', 1, pavane_now(), pavane_now())";
    sqlx::raw_sql(rows).execute(stage.db.writers()).await.unwrap();
    let before = partitions(&stage.db).await;
    for days in [45, 60] {
        let clock = Ahead::default();
        clock.pass(Duration::from_hours(24 * days));
        let wrong = database(&url, &clock).await;
        keep_partitions(&wrong, RETENTION).await.unwrap();
        assert!(!forget(&wrong, RETENTION).await.unwrap());
        assert!(wrong.clock_trouble().unwrap().contains("ahead of the database's"));
        assert_eq!(stage.deliver(handled).await, 1, "{days} days ahead");
        assert_eq!(partitions(&stage.db).await, before, "no week is dropped, and none is made too early");
    }
    let left = "select (select count(*) from pavane_ledger) + (select count(*) from pavane_attempt)";
    let left: i64 = sqlx::query_scalar(left).fetch_one(stage.db.readers()).await.unwrap();
    assert_eq!(left, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_instance_handled_whose_clock_is_far_behind_is_remembered() {
    let url = fresh_url().await;
    let mut wrong = Stage::on(&url, Ahead::behind(Duration::from_hours(24 * 60))).await;
    // It tells no time, so its row goes by when it was handled.
    let handled: EventId = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6".parse().unwrap();
    assert_eq!(wrong.deliver(handled).await, 1);
    let right = database(&url, &Ahead::default()).await;
    keep_partitions(&right, RETENTION).await.unwrap();
    forget(&right, RETENTION).await.unwrap();
    assert_eq!(wrong.deliver(handled).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_nothing_is_forgotten_by_a_clock_that_the_brokers_contradicts() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("inbox.db").display());
    let mut stage = Stage::on(&url, Ahead::default()).await;
    let handled = stage.id();
    assert_eq!(stage.deliver(handled).await, 1);
    let clock = Ahead::default();
    clock.pass(RETENTION * 2);
    let wrong = database(&url, &clock).await;
    forget(&wrong, RETENTION).await.unwrap();
    assert_eq!(stage.deliver(handled).await, 1, "not before the broker's time is known");
    wrong.compare_clock(Some(Ahead::default().now())).await.unwrap();
    forget(&wrong, RETENTION).await.unwrap();
    assert_eq!(stage.deliver(handled).await, 1);
    assert!(wrong.clock_trouble().unwrap().contains("ahead of the NATS server's"));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_old_rows_go_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("inbox.db").display());
    let mut stage = Stage::on(&url, Ahead::default()).await;
    let (old, late) = (stage.id(), stage.id());
    assert_eq!(stage.deliver(old).await, 1);
    pass(&stage, 4).await;
    assert_eq!(stage.deliver(late).await, 1);
    assert_eq!(stage.deliver(old).await, 1);
    pass(&stage, 4).await;
    assert_eq!(stage.deliver(late).await, 1);
    assert_eq!(stage.deliver(old).await, 2, "it is forgotten");
}

async fn partitions(db: &Db<sqlx::Any>) -> Vec<String> {
    names(db, "select inhrelid::regclass::text from pg_inherits where inhparent = 'pavane_inbox'::regclass").await
}

async fn rows(db: &Db<sqlx::Any>) -> i64 {
    fingerprint(db).await.0
}

async fn fingerprint(db: &Db<sqlx::Any>) -> (i64, String) {
    let all = "select count(*), coalesce(md5(string_agg(inbox::text, ',' order by inbox)), '') \
               from (select reaction, event_id, handled_at from pavane_inbox) as inbox";
    let row = sqlx::query(all).fetch_one(db.readers()).await.unwrap();
    (row.get(0), row.get(1))
}

async fn names(db: &Db<sqlx::Any>, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(db.readers()).await.unwrap()
}
