//! A database, a bus and a clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use pavane_bus::{Bus as _, Memory, Topology, topology::EVENTS};
use pavane_choreography::Emission;
use pavane_contract::{Clock, Event, EventRef, Key, SystemClock, Timestamp, codec};
use pavane_outbox::{
    Config, Correlation, Db, Emissions, Tx,
    migration::OUTBOX,
    relay::{self, Progress, Relay},
};
use pavane_testkit::servers::Postgres;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Any;
use tempfile::TempDir;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Noted {
    pub(crate) key: String,
    pub(crate) text: String,
}

impl Event for Noted {
    const NAME: &'static str = "shelf.noted";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.key.as_str().into()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Clone)]
pub(crate) struct Still(Arc<AtomicI64>);

impl Still {
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

pub(crate) struct Shelf {
    pub(crate) db: Db,
    pub(crate) bus: Memory,
    pub(crate) clock: Still,
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
        let mut config = Config::new("shelf", url);
        config.clock = Arc::new(clock.clone());
        let db = Db::<Any>::open(config).await.unwrap();
        db.migrate(&OUTBOX).await.unwrap();
        let bus = Memory::new(Arc::new(clock.clone()));
        bus.provision(&Topology::default()).await.unwrap();
        Self { db, bus, clock, _folder: folder }
    }

    pub(crate) fn relay(&self) -> Relay<Any, Memory> {
        Relay::new(self.db.clone(), self.bus.clone(), relay::Config::default())
    }

    pub(crate) async fn begin(&self) -> Tx {
        let noted = vec![EventRef::of::<Noted>()];
        let emissions =
            vec![Emission::Maybe(noted.clone()), Emission::Scheduled(noted.clone()), Emission::Verdict(noted)];
        self.db.begin(Correlation::start(), Emissions::new("shelf/test", emissions)).await.unwrap()
    }

    pub(crate) async fn note(&self, key: &str, text: &str) {
        let mut tx = self.begin().await;
        tx.emit(&noted(key, text)).await.unwrap();
        tx.commit().await.unwrap();
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

pub(crate) fn noted(key: &str, text: &str) -> Noted {
    Noted { key: key.to_owned(), text: text.to_owned() }
}

/// Steps until there is nothing to publish; returns how many rows were.
pub(crate) async fn run_dry(relay: &mut Relay<Any, Memory>) -> usize {
    let mut published = 0;
    loop {
        match relay.step().await.unwrap() {
            Progress::Sent { sent, .. } => published += sent,
            Progress::Idle { .. } => return published,
            other @ (Progress::Standby | _) => panic!("{other:?}"),
        }
    }
}
