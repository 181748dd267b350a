//! Failures of PostgreSQL, told apart by what to do about them. Each is a real one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pavane::{
    Config, Correlation, Envelope, Handled, SagaId,
    any::{Db, Service, Tx},
    database::{Config as DbConfig, Emissions, Error},
    internal::into_parts,
    on,
};
use pavane_bus::{Bus as _, Memory, Outgoing, topology::DEAD_LETTERS};
use pavane_contract::{EventId, SystemClock, codec, subject};
use pavane_inbox::{Consumer, dead_letter::Progress, internal::turn_now};
use pavane_testkit::servers::Postgres;
use sqlx::{Any, AnyConnection, Connection as _};
use tokio::sync::Notify;

use crate::stage::{Started, envelope, until};

#[derive(Debug, Default)]
struct Knobs {
    /// The handler has the lock on the first row; it may take the second.
    locked: Notify,
    go: Notify,
    once: AtomicBool,
}

/// What it does is the event's key.
async fn act(knobs: &Arc<Knobs>, tx: &mut Tx, started: &Envelope<Started>) -> Handled {
    match started.key.as_str() {
        "sleep" => sqlx::query("select pg_sleep(60)").execute(tx.conn()).await.map(drop)?,
        "both" => {
            sqlx::query("update rows set n = n + 1 where id = 1").execute(tx.conn()).await?;
            if !knobs.once.swap(true, Ordering::SeqCst) {
                knobs.locked.notify_one();
                knobs.go.notified().await;
            }
            sqlx::query("update rows set n = n + 1 where id = 2").execute(tx.conn()).await?;
        }
        _ => sqlx::query("update rows set n = n + 1 where id = 1").execute(tx.conn()).await.map(drop)?,
    }
    Ok(())
}

struct Bench {
    url: String,
    knobs: Arc<Knobs>,
    db: Db,
    bus: Memory,
    consumer: Consumer<Arc<Knobs>, Any, Memory>,
}

impl Bench {
    async fn open(answer_timeout: Duration) -> Self {
        let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
        let bus = Memory::new(Arc::new(SystemClock));
        let mut config = DbConfig::new("bench", &url);
        config.answer_timeout = answer_timeout;
        let db = Db::open(config).await.unwrap();
        let rows = "create table rows (id int primary key, n int not null); insert into rows values (1, 0), (2, 0)";
        sqlx::raw_sql(rows).execute(db.writers()).await.unwrap();
        let knobs = Arc::<Knobs>::default();
        let quick = |tuning: &mut pavane::Tuning| {
            (tuning.max_attempts, tuning.backoff_base) = (2, Duration::from_millis(4));
        };
        let service = Service::new("bench", Arc::clone(&knobs)).react("act", on(act).tuned(quick));
        let app = service.connect_to(db.clone(), bus.clone(), Config::new("")).await.unwrap();
        let consumer = into_parts(app).0.into_iter().next().unwrap();
        Self { url, knobs, db, bus, consumer }
    }

    async fn publish(&self, key: &str) {
        let id = EventId::new(&SystemClock);
        let event = envelope(id, SagaId::new(&SystemClock), &Started { key: key.to_owned() });
        let (subject, headers) = (subject::of(&event.meta.event, &event.meta.key), codec::encode(&event));
        let outgoing = Outgoing { subject, headers, payload: event.body, message_id: id.to_string() };
        self.bus.publish(vec![outgoing]).await.remove(0).unwrap();
    }

    /// Handles what is there, until nothing comes again.
    async fn settle(&mut self) {
        let (bus, consumer) = (self.bus.clone(), tokio::sync::Mutex::new(&mut self.consumer));
        until("the event to be dealt with", || async {
            turn_now(*consumer.lock().await, 1).await.unwrap();
            let pending = bus.pending("bench_act").unwrap();
            (pending.unsettled + pending.undelivered == 0).then_some(())
        })
        .await;
        let mut dead_letters = self.consumer.dead_letters();
        while dead_letters.turn().await.unwrap() == Progress::Published {}
    }

    async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.aside().await).await.unwrap()
    }

    /// A connection that the service knows nothing of, which may write whatever the database says.
    async fn aside(&self) -> AnyConnection {
        let mut aside = AnyConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql("set default_transaction_read_only = off").execute(&mut aside).await.unwrap();
        aside
    }

    /// Makes new connections read-only or not, as a failover does, and ends those that are open when it is on.
    async fn read_only(&self, on: bool) {
        let mut aside = self.aside().await;
        let set = format!(
            "do $$ begin execute format('alter database %I set default_transaction_read_only = {on}', current_database()); end $$"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut aside).await.unwrap();
        if on {
            let end = "select pg_terminate_backend(pid) from pg_stat_activity \
                       where datname = current_database() and pid <> pg_backend_pid()";
            sqlx::raw_sql(end).execute(&mut aside).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_service_that_starts_while_its_database_is_read_only_waits_for_it() {
    let bench = Bench::open(Duration::from_secs(30)).await;
    bench.read_only(true).await;
    // What they say of themselves when they are gone would count.
    let others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    until("the other connections to be gone", || async { (bench.number(others).await == 0).then_some(()) }).await;
    let failed = "select xact_rollback from pg_stat_database where datname = current_database()";
    let before = bench.number(failed).await;
    let start = async {
        let db = Db::open(DbConfig::new("bench", &bench.url)).await.unwrap();
        let service = Service::new("bench", Arc::clone(&bench.knobs)).react("act", on(act));
        service.connect_to(db, bench.bus.clone(), Config::new("")).await.map(drop)
    };
    let heal = async {
        until("an attempt to fail", || async { (bench.number(failed).await > before).then_some(()) }).await;
        bench.read_only(false).await;
    };
    let (started, ()) = tokio::join!(start, heal);
    started.unwrap();
}

const ATTEMPTS: &str = "select count(*) from pavane_attempt";

#[tokio::test]
async fn a_database_that_became_read_only_is_waited_for_and_its_connections_are_not_used_again() {
    let mut bench = Bench::open(Duration::from_secs(30)).await;
    bench.read_only(true).await;
    bench.publish("plain").await;
    let tried = tokio::sync::Mutex::new((&mut bench.consumer, 0));
    until("the event to fail more often than it may", || async {
        let mut tried = tried.lock().await;
        tried.1 += turn_now(tried.0, 1).await.unwrap();
        (tried.1 >= 5).then_some(())
    })
    .await;
    assert!(bench.db.is_read_only().await.unwrap());
    bench.read_only(false).await;
    bench.settle().await;
    until("no connection to be read-only", || async { (!bench.db.is_read_only().await.unwrap()).then_some(()) }).await;
    assert_eq!(bench.number("select n::bigint from rows where id = 1").await, 1);
    assert_eq!((bench.number(ATTEMPTS).await, bench.bus.messages(DEAD_LETTERS).len()), (0, 0));
}

#[tokio::test]
async fn a_deadlock_is_tried_again_at_once_and_counts_as_nothing() {
    let mut bench = Bench::open(Duration::from_secs(30)).await;
    let mut aside = bench.aside().await;
    let soon = "do $$ begin execute format('alter database %I set deadlock_timeout = 1', current_database()); end $$";
    sqlx::raw_sql(soon).execute(&mut aside).await.unwrap();
    bench.db.distrust();
    // Looks for a deadlock later than the service, which is therefore the one to be rolled back.
    sqlx::raw_sql("set deadlock_timeout = '1h'; begin; update rows set n = n + 1 where id = 2")
        .execute(&mut aside)
        .await
        .unwrap();
    let (knobs, mut watch) = (Arc::clone(&bench.knobs), bench.aside().await);
    bench.publish("both").await;
    let other = async {
        knobs.locked.notified().await;
        let crossing = tokio::spawn(async move {
            sqlx::raw_sql("update rows set n = n + 1 where id = 1; commit").execute(&mut aside).await.unwrap();
        });
        let watch = tokio::sync::Mutex::new(&mut watch);
        until("the other transaction to wait", || async {
            let waiting = sqlx::query_scalar::<_, i64>("select count(*) from pg_locks where not granted");
            (waiting.fetch_one(&mut **watch.lock().await).await.unwrap() > 0).then_some(())
        })
        .await;
        knobs.go.notify_one();
        crossing.await.unwrap();
    };
    let (handled, ()) = tokio::join!(turn_now(&mut bench.consumer, 1), other);
    assert_eq!(handled.unwrap(), 1);
    let pending = bench.bus.pending("bench_act").unwrap();
    assert_eq!(pending.unsettled + pending.undelivered, 0, "it was done in the same turn");
    assert_eq!(bench.number("select sum(n) from rows").await, 4);
    assert_eq!(bench.number(ATTEMPTS).await, 0);
}

#[tokio::test]
async fn a_statement_of_a_handler_that_takes_too_long_is_the_handlers_failure() {
    let mut bench = Bench::open(Duration::from_millis(300)).await;
    bench.publish("sleep").await;
    bench.settle().await;
    let dead = bench.bus.messages(DEAD_LETTERS);
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].message.headers.get("pavane-dead-attempts").unwrap(), "2");
    assert!(dead[0].message.headers.get("pavane-dead-cause").unwrap().contains("statement timeout"));
}

#[tokio::test]
async fn prepared_statements_that_somebody_mixes_up_are_named_with_the_setting() {
    let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    let mut config = DbConfig::new("bench", &url);
    config.connections = 1;
    let db = Db::open(config).await.unwrap();
    for is_mixed_up in [false, true] {
        let mut tx = db.begin(Correlation::start(), Emissions::new("bench/test", vec![])).await.unwrap();
        if is_mixed_up {
            // As another client of the same connection would.
            sqlx::raw_sql("deallocate all").execute(tx.conn()).await.unwrap();
        }
        let committed = tx.commit().await;
        assert_eq!(matches!(committed, Err(Error::Pooler(_))), is_mixed_up, "{committed:?}");
        if let Err(error) = committed {
            assert!(error.to_string().contains("max_prepared_statements"), "{error}");
        }
    }
}
