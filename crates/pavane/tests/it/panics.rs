//! Tasks of a running service that panic outside of any handler.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use pavane::{
    Config, Correlation, Error,
    any::{App, Db, Entry, Readiness},
    database::Config as DbConfig,
};
use pavane_bus::{
    Bus, ConsumerConfig, ConsumerPosition, Delivery, Health, Memory, Message, Outgoing, PublishError, Receipt,
    StreamState, Subscription, Topology,
};
use pavane_contract::SystemClock;
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::stage::{START, Started, databases, service, until};

/// A bus in memory that panics on demand: how often still, for each thing that is asked of it.
#[derive(Debug, Clone)]
struct Brittle {
    bus: Memory,
    panics: Arc<Mutex<HashMap<String, u32>>>,
}

impl Brittle {
    fn new() -> Self {
        Self { bus: Memory::new(Arc::new(SystemClock)), panics: Arc::default() }
    }

    fn breaks(&self, what: &str, times: u32) {
        self.panics.lock().unwrap().insert(what.to_owned(), times);
    }

    fn is_whole(&self, what: &str) -> bool {
        self.panics.lock().unwrap().get(what).is_none_or(|left| *left == 0)
    }

    fn touch(&self, what: &str) {
        let broken = {
            let mut panics = self.panics.lock().unwrap();
            let left = panics.entry(what.to_owned()).or_default();
            let broken = *left > 0;
            *left = left.saturating_sub(1);
            broken
        };
        assert!(!broken, "{what} broke");
    }
}

impl Bus for Brittle {
    type Subscription = BrittleSubscription;

    async fn provision(&self, topology: &Topology) -> Result<(), pavane_bus::Error> {
        self.bus.provision(topology).await
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Result<Receipt, PublishError>> {
        self.touch("publish");
        self.bus.publish(messages).await
    }

    async fn subscribe(&self, consumer: &ConsumerConfig) -> Result<Self::Subscription, pavane_bus::Error> {
        let (name, subscription) = (consumer.durable.clone(), self.bus.subscribe(consumer).await?);
        Ok(BrittleSubscription { bus: self.clone(), name, subscription })
    }

    async fn stream_state(&self) -> Result<StreamState, pavane_bus::Error> {
        self.bus.stream_state().await
    }

    async fn consumer_position(&self, durable: &str) -> Result<Option<ConsumerPosition>, pavane_bus::Error> {
        self.bus.consumer_position(durable).await
    }

    async fn message_id_at(&self, sequence: u64) -> Result<Option<String>, pavane_bus::Error> {
        self.bus.message_id_at(sequence).await
    }

    async fn dead_letter_at(&self, sequence: u64) -> Result<Option<Message>, pavane_bus::Error> {
        self.bus.dead_letter_at(sequence).await
    }

    async fn declare(&self, _: &Topology, _: &str, _: Bytes) -> Result<(), pavane_bus::Error> {
        self.touch("declare");
        Ok(())
    }

    fn message_max(&self) -> usize {
        self.bus.message_max()
    }

    fn health(&self) -> Health {
        self.bus.health()
    }

    async fn close(&self) {
        self.bus.close().await;
    }
}

struct BrittleSubscription {
    bus: Brittle,
    name: String,
    subscription: <Memory as Bus>::Subscription,
}

impl Subscription for BrittleSubscription {
    async fn receive(&mut self, credits: usize) -> Result<Vec<Delivery>, pavane_bus::Error> {
        self.bus.touch(&self.name);
        self.subscription.receive(credits).await
    }

    async fn close(self) -> Result<(), pavane_bus::Error> {
        self.subscription.close().await
    }
}

struct Running {
    bus: Brittle,
    db: Db,
    start: Entry,
    readiness: Readiness<Brittle>,
    stop: oneshot::Sender<()>,
    service: JoinHandle<Result<(), Error>>,
    _folder: TempDir,
}

impl Running {
    async fn start(bus: Brittle, (url, folder): (String, TempDir)) -> Self {
        let db = Db::open(DbConfig::new("stage", &url)).await.unwrap();
        let mut config = Config::new("");
        // A relay that is started anew waits for the lease of the one that panicked.
        config.relay.lease = Duration::from_secs(1);
        let connected = service(Arc::default()).connect_to(db.clone(), bus.clone(), config).await;
        let app: App<_, _> = connected.unwrap();
        let (start, readiness) = (app.entry(&START), app.readiness());
        let (stop, stopped) = oneshot::channel::<()>();
        let service = tokio::spawn(app.run_until(async move { drop(stopped.await) }));
        Self { bus, db, start, readiness, stop, service, _folder: folder }
    }

    async fn order(&self, key: &str) {
        let mut tx = self.start.begin(Correlation::start()).await.unwrap();
        tx.emit(&Started { key: key.to_owned() }).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn until_done(&self, key: &str) {
        until(&format!("{key} to be done"), || async {
            let query = sqlx::query("select kind from steps where key = $1 order by kind").bind(key.to_owned());
            let rows = query.fetch_all(self.db.readers()).await.unwrap();
            let done: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            (done == ["charge", "step"]).then_some(())
        })
        .await;
    }

    async fn until_missing(&self, what: &str) {
        until(&format!("readiness to name {what}"), || async {
            self.readiness.missing().await.into_iter().find(|missing| missing.contains(what))
        })
        .await;
    }

    async fn until_ready(&self) {
        until("nothing to be missing", || async { self.readiness.missing().await.is_empty().then_some(()) }).await;
    }

    async fn stop(self) {
        drop(self.stop);
        self.service.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_panics_is_named_by_readiness_and_started_anew() {
    let tasks = [
        ("stage_step", "the reaction \"step\" is not running: it panicked: stage_step broke"),
        ("publish", "the relay is not running: it panicked: publish broke"),
        ("declare", "the service's declaration is not running: it panicked: declare broke"),
    ];
    for database in databases().await {
        for (what, named) in tasks {
            let bus = Brittle::new();
            bus.breaks(what, 3);
            let database = (database.0.clone(), TempDir::new().unwrap());
            let running = Running::start(bus, database).await;
            let key = format!("after-{what}");
            running.order(&key).await;
            running.until_missing(named).await;
            running.until_done(&key).await;
            until("the last panic", || async { running.bus.is_whole(what).then_some(()) }).await;
            running.until_ready().await;
            running.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_panics_again_and_again_ends_the_service_with_an_error() {
    let tasks = [("stage_step", "the reaction \"step\""), ("publish", "the relay")];
    for (what, task) in tasks {
        for database in databases().await {
            let bus = Brittle::new();
            bus.breaks(what, u32::MAX);
            let running = Running::start(bus, database).await;
            running.order("never").await;
            let ended = tokio::time::timeout(Duration::from_secs(30), running.service).await;
            let error = ended.expect("it ends by itself").unwrap().unwrap_err();
            let expected = format!("{task} can't be kept running: it panicked: {what} broke");
            assert_eq!(error.to_string(), expected);
        }
    }
}
