use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use pavane_contract::{Clock, EventId, SystemClock, Timestamp};
use pavane_outbox::{Config, migration::Schema};
use pavane_testkit::servers::Postgres;
use sqlx::Postgres as Pg;
use tokio::task::JoinSet;

use super::*;
use crate::INBOX;

const DAY: Duration = Duration::from_hours(24);
const RETENTION: Duration = Duration::from_hours(10 * 24);
const TABLES: &str = "select count(*) from pavane_inbox_weeks";

/// A clock that runs a day ahead whenever it is told to.
#[derive(Debug, Default)]
struct Days(AtomicI64);

impl Clock for Days {
    fn now(&self) -> Timestamp {
        SystemClock.now() + DAY * u32::try_from(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn random(&self) -> u64 {
        SystemClock.random()
    }
}

async fn open(clock: &Arc<Days>) -> Db<Pg> {
    let db = open_empty(clock).await;
    db.migrate(&INBOX).await.unwrap();
    db
}

async fn open_empty(clock: &Arc<Days>) -> Db<Pg> {
    let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    let mut config = Config::new("test", url);
    config.clock = clock.clone();
    Db::open(config).await.unwrap()
}

/// Lets days pass, by the clock of the process and by that of the database.
async fn pass(db: &Db<Pg>, clock: &Days, days: i64) {
    let days = clock.0.fetch_add(days, Ordering::SeqCst) + days;
    let ahead = format!(
        "create or replace function pavane_now() returns bigint language sql volatile as \
         'select (extract(epoch from clock_timestamp()) * 1000000)::bigint + {days} * 86400000000'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(ahead)).execute(db.writers()).await.unwrap();
}

async fn count(db: &Db<Pg>, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db.readers()).await.unwrap()
}

async fn claim(db: &Db<Pg>, reaction: &str, ids: &[EventId]) -> usize {
    let mut tx = db.begin(Correlation::start(), Emissions::new("test", Vec::new())).await.unwrap();
    let fresh = crate::store::claim(&mut tx, reaction, ids).await.unwrap();
    tx.commit().await.unwrap();
    fresh.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_go_on_at_full_speed_while_partitions_come_and_go() {
    let clock = Arc::new(Days::default());
    let db = open(&clock).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut claims = JoinSet::new();
    for lane in 0..4 {
        let (db, stop, clock) = (db.clone(), stop.clone(), clock.clone());
        claims.spawn(async move {
            let reaction = format!("reaction-{lane}");
            let mut batches = 0_u64;
            while !stop.load(Ordering::SeqCst) {
                let today = clock.0.load(Ordering::SeqCst);
                // Some are of a week that is being dropped.
                let old = Days(AtomicI64::new((today - 20).max(0)));
                let ids: Vec<_> = (0..64).map(|n| EventId::new(if n % 16 == 0 { &old } else { &*clock })).collect();
                assert_eq!(claim(&db, &reaction, &ids).await, ids.len(), "none was there before");
                let again = claim(&db, &reaction, &ids).await;
                let days = clock.0.load(Ordering::SeqCst) - today;
                assert!(again == 0 || days >= 10, "{again} were forgotten after {days} days");
                batches += 1;
            }
            batches
        });
    }
    let before = count(&db, TABLES).await;
    for _ in 0..70 {
        pass(&db, &clock, 1).await;
        let (one, other) = tokio::join!(keep_partitions(&db, RETENTION), keep_partitions(&db, RETENTION));
        one.unwrap();
        other.unwrap();
        forget(&db, RETENTION).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    let batches: u64 = claims.join_all().await.into_iter().sum();
    assert!(batches > 100, "{batches}");
    let after = count(&db, TABLES).await;
    assert!(after <= before + 3, "ten weeks came, and most of them went: {before}, then {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_takes_long_is_left_alone() {
    let clock = Arc::new(Days::default());
    let db = open(&clock).await;
    let id = EventId::new(&*clock);
    assert_eq!(claim(&db, "quick", &[id]).await, 1);
    pass(&db, &clock, 21).await;
    let mut slow = db.begin(Correlation::start(), Emissions::new("test", Vec::new())).await.unwrap();
    assert_eq!(crate::store::claim(&mut slow, "slow", &[id]).await.unwrap().len(), 1);
    let weeks = count(&db, TABLES).await;
    tokio::time::timeout(Duration::from_secs(20), keep_partitions(&db, RETENTION)).await.unwrap().unwrap();
    assert_eq!(count(&db, TABLES).await, weeks + 3, "the new weeks don't wait for it, and nothing is dropped");
    slow.commit().await.unwrap();
    keep_partitions(&db, RETENTION).await.unwrap();
    assert!(count(&db, TABLES).await < weeks + 3, "now it is");
    assert_eq!(claim(&db, "slow", &[id]).await, 0, "it was handled a moment ago");
    assert_eq!(claim(&db, "quick", &[id]).await, 1, "it was handled three weeks ago");
}

/// Rows of the ledger, each of a saga of its own letter, with an event that the join of the saga has.
async fn add_rows(db: &Db<Pg>, rows: &[(char, &str, &str)]) {
    for (saga, item, state) in rows {
        let saga = format!("{saga:0>8}-0000-0000-0000-000000000000");
        let ledger = "insert into pavane_ledger (saga, step, item, state, changed_at) values ($1::uuid, 'step', $2, $3, pavane_now())";
        sqlx::query(ledger).bind(&saga).bind(item).bind(state).execute(db.writers()).await.unwrap();
        let part = "insert into pavane_part (saga, step, part, event_id, event, arrived_at) \
                    values ($1::uuid, 'step', 'seat-held', $1::uuid, '', pavane_now()) on conflict do nothing";
        sqlx::query(part).bind(&saga).execute(db.writers()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_and_items_are_forgotten_but_for_what_runs() {
    let clock = Arc::new(Days::default());
    let db = open(&clock).await;
    add_rows(&db, &[('a', "", "gathering"), ('b', "", "done"), ('c', "", "running"), ('f', "", "gathering")]).await;
    add_rows(
        &db,
        &[('d', "", "gathering"), ('d', "1", "done"), ('d', "2", "running"), ('e', "", "barred"), ('e', "1", "undone")],
    )
    .await;
    let (ledger, parts) = ("select count(*) from pavane_ledger", "select count(*) from pavane_part");
    forget(&db, RETENTION).await.unwrap();
    assert_eq!((count(&db, ledger).await, count(&db, parts).await), (9, 6), "none is old");
    pass(&db, &clock, 21).await;
    // Its join has gone on meanwhile.
    let gone_on = "update pavane_ledger set changed_at = pavane_now() where saga::text like '0000000f-%'";
    sqlx::query(gone_on).execute(db.writers()).await.unwrap();
    forget(&db, RETENTION).await.unwrap();
    let kept = "select count(*) from pavane_ledger where state = 'running' or saga::text like '0000000f-%'";
    assert_eq!((count(&db, ledger).await, count(&db, kept).await), (3, 3));
    let with_row = "select count(*) from pavane_part join pavane_ledger using (saga, step)";
    assert_eq!(
        (count(&db, parts).await, count(&db, with_row).await),
        (3, 3),
        "a part stays as long as the row of its join"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_the_version_before_go_on_while_the_table_becomes_partitions() {
    let clock = Arc::new(Days::default());
    let db = open_empty(&clock).await;
    db.migrate(&Schema { table: INBOX.table, scripts: &INBOX.scripts[..2] }).await.unwrap();
    let migrated = Arc::new(AtomicBool::new(false));
    let mut claims = JoinSet::new();
    for lane in 0..4 {
        let (db, migrated, clock) = (db.clone(), migrated.clone(), clock.clone());
        claims.spawn(async move {
            let reaction = format!("reaction-{lane}");
            let mut ids: Vec<EventId> = Vec::new();
            let mut after = 0;
            while after < 20 {
                after += usize::from(migrated.load(Ordering::SeqCst));
                let new: Vec<_> = (0..64).map(|_| EventId::new(&*clock)).collect();
                assert_eq!(claim(&db, &reaction, &new).await, new.len());
                ids.extend(new);
            }
            assert_eq!(claim(&db, &reaction, &ids).await, 0, "none is lost");
        });
    }
    while count(&db, "select count(*) from pavane_inbox").await < 5000 {
        tokio::task::yield_now().await;
    }
    db.migrate(&INBOX).await.unwrap();
    migrated.store(true, Ordering::SeqCst);
    claims.join_all().await;
}
