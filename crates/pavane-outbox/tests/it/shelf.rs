//! A database, a bus and a clock.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use pavane_bus::{Bus as _, Memory, Outgoing, Topology, topology::EVENTS};
use pavane_choreography::Emission;
use pavane_contract::{Clock, Event, EventRef, SystemClock, Timestamp, codec};
use pavane_outbox::{
    Config, Correlation, Db, Dialect, Emissions, Tx,
    internal::{CrashPoint, CrashPoints},
    migration::OUTBOX,
    relay::{self, Progress, Relay},
};
use pavane_testkit::servers::Postgres;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Any;
use tempfile::TempDir;
use tokio::sync::Notify;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "shelf.noted", key = key)]
pub(crate) struct Noted {
    pub(crate) key: String,
    pub(crate) text: String,
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Clone)]
pub(crate) struct Still(Arc<AtomicI64>);

impl Still {
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.as_microsecond(), Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn random(&self) -> u64 {
        SystemClock.random()
    }
}

/// Whether a process that comes to a crash point goes on.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed_at: Mutex<Option<CrashPoint>>,
    reached: Notify,
    opened: Notify,
}

impl Gate {
    /// The next one who comes to this point waits there.
    pub(crate) fn close(&self, point: CrashPoint) {
        *self.closed_at.lock().unwrap() = Some(point);
    }

    /// Waits until somebody waits.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    pub(crate) fn open(&self) {
        self.opened.notify_one();
    }
}

impl CrashPoints for Gate {
    fn reach(&self, point: CrashPoint) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if self.closed_at.lock().unwrap().take_if(|closed| *closed == point).is_none() {
                return;
            }
            self.reached.notify_one();
            self.opened.notified().await;
        })
    }
}

pub(crate) struct Shelf {
    pub(crate) db: Db<Any>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) bus: Memory,
    pub(crate) clock: Still,
    url: String,
    _folder: TempDir,
}

impl Shelf {
    /// One on SQLite and one on PostgreSQL.
    pub(crate) async fn each() -> [Self; 2] {
        let folder = TempDir::new().unwrap();
        let sqlite = format!("sqlite:{}", folder.path().join("shelf.db").display());
        let postgres = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
        [Self::open(sqlite, folder).await, Self::open(postgres, TempDir::new().unwrap()).await]
    }

    async fn open(url: String, folder: TempDir) -> Self {
        let clock = Still(Arc::new(AtomicI64::new(SystemClock.now().as_microsecond())));
        let mut config = Config::new("shelf", &url);
        config.clock = Arc::new(clock.clone());
        let gate = Arc::new(Gate::default());
        config.crash_points = Some(Arc::clone(&gate) as _);
        let db = Db::<Any>::open(config).await.unwrap();
        db.migrate(&OUTBOX).await.unwrap();
        set_database_clock(&db, clock.now()).await;
        let bus = Memory::new(Arc::new(clock.clone()));
        bus.provision(&Topology::default()).await.unwrap();
        Self { db, gate, bus, clock, url, _folder: folder }
    }

    /// Lets time pass, by all clocks.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.pass(time);
        set_database_clock(&self.db, self.clock.now()).await;
    }

    /// Moves the database's clock alone.
    pub(crate) async fn set_database_clock(&self, now: Timestamp) {
        set_database_clock(&self.db, now).await;
    }

    /// The same database as another instance has it open, whose clock shows another time.
    pub(crate) async fn instance_at(&self, now: Timestamp) -> (Db<Any>, Relay<Any, Memory>) {
        let mut config = Config::new("shelf", &self.url);
        config.clock = Arc::new(Still(Arc::new(AtomicI64::new(now.as_microsecond()))));
        let db = Db::<Any>::open(config).await.unwrap();
        let relay = Relay::new(db.clone(), self.bus.clone(), relay::Config::default());
        (db, relay)
    }

    /// The one on PostgreSQL.
    pub(crate) async fn on_postgres() -> Self {
        let [_, shelf] = Self::each().await;
        shelf
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(self.db.writers()).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.db.writers()).await.unwrap()
    }

    pub(crate) fn relay(&self) -> Relay<Any, Memory> {
        Relay::new(self.db.clone(), self.bus.clone(), relay::Config::default())
    }

    /// A second instance of the service: on the same database, with its own connections.
    pub(crate) async fn second_instance(&self) -> Self {
        let mut config = Config::new("shelf", &self.url);
        config.clock = Arc::new(self.clock.clone());
        let (db, gate) = (Db::<Any>::open(config).await.unwrap(), Arc::default());
        let (bus, clock, url) = (self.bus.clone(), self.clock.clone(), self.url.clone());
        Self { db, gate, bus, clock, url, _folder: TempDir::new().unwrap() }
    }

    pub(crate) async fn begin(&self) -> Tx<Any> {
        self.db.begin(Correlation::start(), Emissions::new("shelf/test", everything())).await.unwrap()
    }

    pub(crate) async fn note(&self, key: &str, text: &str) {
        let mut tx = self.begin().await;
        tx.emit(&noted(key, text)).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Somebody else's message takes the stream's next sequence.
    pub(crate) fn publish_as_stranger(&self) {
        let stranger = Outgoing {
            subject: "events.other.fact.x".into(),
            headers: codec::Headers::default(),
            payload: "{}".into(),
            message_id: "stranger".into(),
        };
        assert!(self.bus.try_publish(vec![stranger]).iter().all(Result::is_ok));
    }

    /// The texts in the stream, in order.
    pub(crate) fn stored(&self) -> Vec<String> {
        let stored = self.bus.messages(EVENTS).into_iter();
        stored
            .map(|stored| {
                let message = stored.message;
                let event = codec::decode(&message.headers, message.payload, 1 << 24).unwrap();
                event.decode::<Noted>().unwrap().body.text
            })
            .collect()
    }
}

/// Says that anything may be done with what is noted.
pub(crate) fn everything() -> Vec<Emission> {
    let noted = vec![EventRef::of::<Noted>()];
    vec![Emission::Maybe(noted.clone()), Emission::Scheduled(noted.clone()), Emission::Outcome(noted)]
}

/// Puts `PostgreSQL`'s clock to a time, and lets it stand still.
async fn set_database_clock(db: &Db<Any>, now: Timestamp) {
    if db.dialect() == Dialect::Postgres {
        let now = now.as_microsecond();
        let clock = format!(
            "create or replace function pavane_now() returns bigint language sql volatile as 'select {now}::bigint'"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(clock)).execute(db.writers()).await.unwrap();
    }
}

pub(crate) fn noted(key: &str, text: &str) -> Noted {
    Noted { key: key.to_owned(), text: text.to_owned() }
}

/// Steps until there is nothing to publish; returns how many rows were.
pub(crate) async fn run_dry(relay: &mut Relay<Any, Memory>) -> usize {
    let mut published = 0;
    loop {
        match relay.turn().await.unwrap() {
            Progress::Sent { sent, .. } => published += sent,
            Progress::Idle { .. } => return published,
            other @ (Progress::Standby | _) => panic!("{other:?}"),
        }
    }
}
