//! A database that vanishes without a sign: no answer, and no end of the connection either.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use pavane::{
    Config, Correlation, Envelope, Handled,
    database::{Config as DbConfig, Database, Db, Entry, Service, Tx},
    internal::into_parts,
    on,
};
use pavane_bus::{Memory, topology::EVENTS};
use pavane_contract::SystemClock;
use pavane_inbox::{Consumer, internal::turn_now};
use pavane_outbox::{
    internal::backlog,
    relay::{self, Progress, Relay},
};
use pavane_testkit::servers::{Direction, Postgres, Proxy};
use sqlx::{
    Any, PgPool, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
    postgres::PgPoolOptions,
};
use tokio::sync::Mutex;

use crate::stage::{Started, Stepped, until};

const START: pavane::EntryPoint = pavane::EntryPoint::new("start");

const BOTH: [Direction; 2] = [Direction::ToServer, Direction::ToClient];
/// How long the stuck instance waits for an answer.
const ANSWER: Duration = Duration::from_millis(500);
/// Most events in one transaction. To wait for each of them would take longer than any test here waits.
const BATCH: usize = 100;

async fn step<DB: Database>((): &(), tx: &mut Tx<DB>, started: &Envelope<Started>) -> Handled {
    let key = started.key.clone();
    DB::execute(tx.conn(), "insert into steps (key) values ($1)", vec![key.clone().into()]).await?;
    tx.emit(&Stepped { key }).await?;
    Ok(())
}

/// On a pool that Pavane opens.
async fn opened(url: String) -> Db<Any> {
    Db::open(DbConfig::new("stage", url)).await.unwrap()
}

/// On a pool with its own ideas: it looks whether a connection is alive before it hands it out, and keeps some open.
async fn handed_in(url: String) -> Db<sqlx::Postgres> {
    Db::from_pool("stage", PgPoolOptions::new().min_connections(2).connect(&url).await.unwrap())
}

struct Instance<DB: Database> {
    db: Db<DB>,
    start: Entry<DB>,
    consumer: Consumer<(), DB, Memory>,
    relay: Relay<DB, Memory>,
}

impl<DB: Database> Instance<DB> {
    async fn open(db: Db<DB>, bus: &Memory, answer_timeout: Duration) -> Self {
        db.answer_within(answer_timeout);
        let table = "create table steps (key text not null)".into_sql_str();
        let tables =
            Migrator::with_migrations(vec![Migration::new(1, "s".into(), MigrationType::Simple, table, false)]);
        let batches = |tuning: &mut pavane::Tuning| {
            tuning.concurrency = Some(1);
            tuning.batch_max = BATCH;
        };
        let service = Service::new("stage", ())
            .migrations(tables)
            .entry(&START, pavane::Declared::emits::<Started>)
            .react("step", on(step::<DB>).emits::<Stepped>().tuned(batches));
        let app = service.connect_to(db.clone(), bus.clone(), Config::new("")).await.unwrap();
        let start = app.entry(&START);
        let consumer = into_parts(app).0.into_iter().next().unwrap();
        let mut config = relay::Config::default();
        config.lease = Duration::from_millis(300);
        let relay = Relay::new(db.clone(), bus.clone(), config);
        Self { db, start, consumer, relay }
    }

    async fn place(&self, key: &str) {
        let mut tx = self.start.begin(Correlation::start()).await.unwrap();
        tx.emit(&Started { key: key.to_owned() }).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Publishes until nothing waits.
    async fn publish_all(&mut self) {
        let (db, relay) = (self.db.clone(), Mutex::new(&mut self.relay));
        until("everything to be published", || async {
            let idle = matches!(relay.lock().await.turn().await, Ok(Progress::Idle { .. }));
            // A machine that is busy may keep an answer for longer than the stuck instance waits.
            let backlog = backlog(&db).await.ok()?;
            (idle && backlog.unsent == 0).then_some(())
        })
        .await;
    }

    /// Handles until nothing is left.
    async fn handle_all(&mut self, bus: &Memory) {
        let consumer = Mutex::new(&mut self.consumer);
        until("everything to be handled", || async {
            turn_now(*consumer.lock().await, BATCH).await.unwrap();
            let pending = bus.pending("stage_step").unwrap();
            (pending.unsettled + pending.undelivered == 0).then_some(())
        })
        .await;
    }
}

/// Two instances of one service on one database: the first one's link to it can break.
struct Pair<DB: Database> {
    bus: Memory,
    proxy: Proxy,
    aside: PgPool,
    stuck: Instance<DB>,
    other: Instance<DB>,
}

impl<DB: Database> Pair<DB> {
    async fn open(open: impl AsyncFn(String) -> Db<DB>) -> Self {
        let postgres = Postgres::shared().await.unwrap();
        let url = postgres.fresh_database().await.unwrap();
        let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, postgres.port()))).await.unwrap();
        let through = url.replace(&format!(":{}/", postgres.port()), &format!(":{}/", proxy.address().port()));
        assert_ne!(url, through);
        let bus = Memory::new(Arc::new(SystemClock));
        let aside = PgPool::connect(&url).await.unwrap();
        let other = Instance::open(open(url).await, &bus, Duration::from_secs(10)).await;
        let stuck = Instance::open(open(through).await, &bus, ANSWER).await;
        Self { bus, proxy, aside, stuck, other }
    }

    /// More than one instance has room for.
    async fn place_many(&self) -> Vec<String> {
        let keys: Vec<_> = (0..3 * BATCH).map(|number| format!("many-{number}")).collect();
        for key in &keys {
            self.other.place(key).await;
        }
        keys
    }

    /// How often each of the keys was handled, and how often that was published.
    async fn books(&self, keys: &[String]) -> Vec<(i64, usize)> {
        let mut books = Vec::new();
        for key in keys {
            let count = sqlx::query_scalar("select count(*) from steps where key = $1").bind(key.clone());
            let said = self.bus.messages(EVENTS).into_iter();
            let subject = format!("events.stage.stepped.{key}");
            let said = said.filter(|stored| stored.message.subject == subject).count();
            books.push((count.fetch_one(&self.aside).await.unwrap(), said));
        }
        books
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_database_vanishes_at_any_statement_is_taken_over_and_handled_once() {
    Box::pin(take_over(Pair::open(opened).await)).await;
    Box::pin(take_over(Pair::open(handed_in).await)).await;
}

async fn take_over<DB: Database>(mut pair: Pair<DB>) {
    let mut keys = vec!["warm".to_owned()];
    pair.other.place("warm").await;
    pair.other.publish_all().await;
    pair.stuck.handle_all(&pair.bus).await;
    for direction in BOTH {
        // Begin, claim, the handler's own, outbox, commit, and the look whether the connection is still good.
        for statement in 0..7 {
            let key = format!("{direction:?}-{statement}");
            pair.other.place(&key).await;
            pair.other.publish_all().await;
            pair.proxy.black_hole_after(direction, statement);
            // It gives up by itself, and gives the event back. At the later statements it is done.
            let turn = turn_now(&mut pair.stuck.consumer, 1);
            assert_eq!(tokio::time::timeout(Duration::from_secs(30), turn).await.unwrap().unwrap(), 1, "{key}");
            pair.other.handle_all(&pair.bus).await;
            pair.proxy.heal();
            // It recovers.
            let again = format!("after-{key}");
            pair.other.place(&again).await;
            pair.other.publish_all().await;
            pair.stuck.handle_all(&pair.bus).await;
            keys.extend([key, again]);
        }
    }
    pair.other.publish_all().await;
    let books = pair.books(&keys).await;
    assert!(books.iter().all(|entry| *entry == (1, 1)), "{:?}", keys.iter().zip(books).collect::<Vec<_>>());
    let counted: i64 = sqlx::query_scalar("select count(*) from pavane_attempt").fetch_one(&pair.aside).await.unwrap();
    assert_eq!(counted, 0, "an outage is nobody's failed attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_database_vanishes_waits_for_it_once() {
    Box::pin(wait_once(Pair::open(opened).await)).await;
    Box::pin(wait_once(Pair::open(handed_in).await)).await;
}

async fn wait_once<DB: Database>(mut pair: Pair<DB>) {
    let keys = pair.place_many().await;
    pair.other.publish_all().await;
    for direction in BOTH {
        pair.proxy.black_hole(direction);
    }
    let turn = tokio::time::timeout(Duration::from_secs(30), turn_now(&mut pair.stuck.consumer, BATCH)).await;
    assert_eq!(turn.expect("a batch waits once").unwrap(), BATCH);
    pair.other.handle_all(&pair.bus).await;
    pair.other.publish_all().await;
    assert!(pair.books(&keys).await.iter().all(|entry| *entry == (1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_an_instance_whose_database_vanishes_goes_back_to_the_broker() {
    Box::pin(give_back(Pair::open(opened).await)).await;
    Box::pin(give_back(Pair::open(handed_in).await)).await;
}

async fn give_back<DB: Database>(mut pair: Pair<DB>) {
    let keys = pair.place_many().await;
    pair.other.publish_all().await;
    for direction in BOTH {
        pair.proxy.black_hole(direction);
    }
    let Pair { bus, stuck, other, .. } = &mut pair;
    let stuck = &mut stuck.consumer;
    // It has a batch in hand, and as many events again that wait for their turn.
    tokio::time::timeout(Duration::from_secs(30), async {
        while bus.pending("stage_step").unwrap().unsettled < 2 * BATCH {
            stuck.turn().await.unwrap();
        }
    })
    .await
    .expect("it takes what it has room for");
    // It goes on and on, and so keeps alive what it keeps.
    tokio::select! {
        () = other.handle_all(bus) => {}
        () = async { loop { stuck.turn().await.unwrap() } } => {}
    }
    other.publish_all().await;
    assert!(pair.books(&keys).await.iter().all(|entry| *entry == (1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_database_vanishes_at_any_statement_is_replaced_and_nothing_is_lost() {
    Box::pin(replace_relay(Pair::open(opened).await)).await;
    Box::pin(replace_relay(Pair::open(handed_in).await)).await;
}

async fn replace_relay<DB: Database>(mut pair: Pair<DB>) {
    let mut keys = Vec::new();
    for direction in BOTH {
        // Lease, reading, marking with the next read, timers, pruning, and the looks whether the connections are still good.
        for statement in 0..10 {
            let key = format!("{direction:?}-{statement}");
            for relay in [&mut pair.stuck.relay, &mut pair.other.relay] {
                drop(relay.release().await);
            }
            pair.other.place(&key).await;
            pair.proxy.black_hole_after(direction, statement);
            for _ in 0..3 {
                let step = pair.stuck.relay.turn();
                drop(tokio::time::timeout(Duration::from_secs(30), step).await.expect("a step has an end"));
            }
            pair.other.publish_all().await;
            pair.proxy.heal();
            let again = format!("after-{key}");
            pair.other.relay.release().await.unwrap();
            pair.other.place(&again).await;
            pair.stuck.publish_all().await;
            keys.extend([key, again]);
        }
    }
    for key in keys {
        let subject = format!("events.stage.started.{key}");
        let published = pair.bus.messages(EVENTS).into_iter().filter(|stored| stored.message.subject == subject);
        assert_eq!(published.count(), 1, "{key}");
    }
}
