use std::{fmt, sync::Arc};

use pavane::{
    Config, Event, SagaId,
    database::{App, Config as DbConfig, Database, Db, Error, Service},
};
use pavane_bus::{Bus as _, Memory, memory::Pending, topology::EVENTS};
use pavane_contract::{RawEnvelope, SystemClock, subject};
use pavane_inbox::{dead_letter, waiting_undos, wiring::durable};
use pavane_outbox::internal::backlog;

use crate::{
    DeadLetter, FreshDatabase,
    database::count,
    events::{bodies, dead_letters, envelope, names, outgoing, publish, read},
    served::Task,
    until::found,
};

/// One service as it runs in production: none, one or several instances at once, by the real clock, on a database on disk. Only
/// the bus is in memory.
///
/// For what [`given`](crate::given) can't show, where one thing happens after another: races, instances beside each other, a stop
/// and a start, a provider that is slow. It costs a wait: [`settle`](Self::settle).
///
/// # Examples
///
/// ```
/// # use pavane::{Envelope, Event, Handled, SagaId, on, any::{Service, Tx}};
/// # use pavane_testkit::{FreshDatabase, Instances};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
/// # #[event(name = "order.confirmed", key = order_id)]
/// # struct OrderConfirmed { order_id: String }
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
/// # #[event(name = "loyalty.points-added", key = order_id)]
/// # struct PointsAdded { order_id: String, points: u32 }
/// # async fn add_points((): &(), tx: &mut Tx, order: &Envelope<OrderConfirmed>) -> Handled {
/// #     tx.emit(&PointsAdded { order_id: order.order_id.clone(), points: 10 }).await?;
/// #     Ok(())
/// # }
/// # fn service() -> Service<()> {
/// #     Service::new("loyalty", ()).react("add-points", on(add_points).emits::<PointsAdded>())
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut loyalty = Instances::one(&FreshDatabase::sqlite(), service).await;
/// loyalty.start().await;
/// let saga = SagaId::new(&pavane_contract::SystemClock);
/// let event = loyalty.publish(saga, &OrderConfirmed { order_id: "7".into() });
/// loyalty.deliver(&event);
/// loyalty.settle().await;
/// assert_eq!(loyalty.emitted::<PointsAdded>(saga), [PointsAdded { order_id: "7".into(), points: 10 }]);
/// loyalty.stop().await;
/// # }
/// ```
pub struct Instances<S, DB: Database = sqlx::Any> {
    service: Box<dyn Fn() -> Service<S, DB> + Send + Sync>,
    name: String,
    reactions: Vec<String>,
    database: FreshDatabase,
    db: Db<DB>,
    bus: Memory,
    running: Vec<Task>,
}

impl<S: Send + Sync + 'static, DB: Database> Instances<S, DB> {
    /// The service's tables and its consumers, and no instance: what is published waits for the first one.
    ///
    /// # Panics
    ///
    /// When the service can't be started there.
    pub async fn none(database: &FreshDatabase, service: impl Fn() -> Service<S, DB> + Send + Sync + 'static) -> Self {
        let manifest = service().manifest();
        let (name, db) = (manifest.service.clone(), open(&manifest.service, database).await);
        let reactions = manifest.reactions.into_iter().map(|reaction| reaction.name).collect();
        let (bus, database) = (Memory::new(Arc::new(SystemClock)), database.clone());
        let it = Self { service: Box::new(service), name, reactions, database, db, bus, running: Vec::new() };
        drop(it.connect().await);
        it
    }

    /// One instance.
    ///
    /// # Panics
    ///
    /// When the service can't be started.
    pub async fn one(database: &FreshDatabase, service: impl Fn() -> Service<S, DB> + Send + Sync + 'static) -> Self {
        let mut it = Self::none(database, service).await;
        it.start().await;
        it
    }

    /// Starts an instance, beside those that run.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    pub async fn start(&mut self) {
        let app = self.connect().await;
        self.running.push(Task::start(|shutdown| app.run_until(shutdown)));
    }

    /// An instance that is connected, with connections of its own, for a test that runs it as it likes: behind HTTP, say.
    ///
    /// # Panics
    ///
    /// When it can't be connected.
    pub async fn connect(&self) -> App<S, DB, Memory> {
        let db = open(&self.name, &self.database).await;
        let app = (self.service)().connect_to(db, self.bus.clone(), Config::new("")).await;
        app.unwrap_or_else(|error| panic!("failed to start {}: {error:?}", self.name))
    }

    /// Stops all instances that were [started](Self::start), as SIGTERM would.
    ///
    /// # Panics
    ///
    /// When one ends with an error.
    pub async fn stop(&mut self) {
        for mut task in self.running.drain(..) {
            task.stop().await;
        }
    }

    /// Publishes an event of a saga as its owner would, and returns it.
    ///
    /// # Panics
    ///
    /// When it can't be encoded, or the bus doesn't take it.
    pub fn publish<E: Event>(&self, saga: SagaId, event: &E) -> RawEnvelope {
        let event = envelope(saga, event);
        self.deliver(&event);
        event
    }

    /// Publishes an event as it is; again as often as it is called, for the bus takes none of them for a duplicate.
    ///
    /// # Panics
    ///
    /// When the bus doesn't take it.
    pub fn deliver(&self, event: &RawEnvelope) {
        self.deliver_all([event]);
    }

    /// Publishes several events at once.
    ///
    /// # Panics
    ///
    /// When the bus doesn't take one.
    pub fn deliver_all<'a>(&self, events: impl IntoIterator<Item = &'a RawEnvelope>) {
        publish(&self.bus, events.into_iter().map(outgoing).collect());
    }

    /// Waits until everything that was published is handled, nothing waits for another attempt, and everything that was emitted or
    /// given up on is published. Timers that aren't due don't count.
    ///
    /// It looks again and again: the last thing to happen, a relay that notes what it has published, is told to nobody.
    ///
    /// # Panics
    ///
    /// When it takes more than a minute; the message says what is still to do. And when the database fails.
    pub async fn settle(&self) {
        found(async || {
            let rest = self.still_to_do().await;
            let rest = rest.unwrap_or_else(|error| panic!("failed to look into the database: {error:?}"));
            if rest.is_empty() { Ok(()) } else { Err(format!("{} to come to rest: {}", self.name, rest.join(", "))) }
        })
        .await;
    }

    async fn still_to_do(&self) -> Result<Vec<String>, Error> {
        let mut rest = Vec::new();
        let mut note = |count: i64, what: &str| {
            if count > 0 {
                rest.push(format!("{what}: {count}"));
            }
        };
        let last = self.last_sequence().await;
        for reaction in &self.reactions {
            let Pending { unsettled, undelivered } = self.pending(reaction);
            let events = i64::try_from(unsettled + undelivered).unwrap_or(i64::MAX);
            note(events, &format!("events for {reaction}"));
        }
        // In this order. What was handled before has committed by now; what it emitted is in the outbox or in the stream.
        note(waiting_undos(&self.db).await?.count, "undos that wait for their step");
        note(dead_letter::waiting(&self.db).await?, "dead letters that are not published");
        note(backlog(&self.db).await?.unsent, "events that are not published");
        note(i64::from(self.last_sequence().await > last), "new events, at least");
        Ok(rest)
    }

    async fn last_sequence(&self) -> u64 {
        self.bus.stream_state().await.map_or(0, |state| state.last_sequence)
    }

    /// How much a reaction has to do.
    ///
    /// # Panics
    ///
    /// When the service has no such reaction.
    pub fn pending(&self, reaction: &str) -> Pending {
        let pending = self.bus.pending(&durable(&self.name, reaction));
        pending.unwrap_or_else(|| panic!("{} has no reaction {reaction:?}", self.name))
    }

    /// The bodies of the events of one type that the service emitted in a saga, in order.
    ///
    /// # Panics
    ///
    /// When the body of one can't be read as `E`.
    pub fn emitted<E: Event>(&self, saga: SagaId) -> Vec<E> {
        bodies(self.emitted_events(saga))
    }

    /// The names of all events that the service emitted in a saga, in order.
    pub fn emitted_names(&self, saga: SagaId) -> Vec<String> {
        names(&self.emitted_events(saga))
    }

    /// All events that the service emitted in a saga, in order. Those of its own that a test published for it are among them.
    pub fn emitted_events(&self, saga: SagaId) -> Vec<RawEnvelope> {
        let ours = format!("{}.{}.", subject::EVENTS, self.name);
        let stored = self.bus.messages(EVENTS);
        let events = stored.iter().filter(|stored| stored.message.subject.starts_with(&ours)).filter_map(read);
        events.filter(|event| event.meta.cause.saga == saga).collect()
    }

    /// What the service gave up on.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        dead_letters(&self.bus)
    }

    /// The number in the first column of the first row of a query.
    ///
    /// # Panics
    ///
    /// When there is none, or the database fails.
    pub async fn count(&self, sql: &'static str) -> i64 {
        count(&self.db, sql).await
    }

    /// The service's database, on connections of the test's own.
    pub const fn db(&self) -> &Db<DB> {
        &self.db
    }

    /// The bus, to look at what is there or to make it fail.
    pub const fn bus(&self) -> &Memory {
        &self.bus
    }
}

async fn open<DB: Database>(service: &str, database: &FreshDatabase) -> Db<DB> {
    let db = Db::open(DbConfig::new(service, database.url())).await;
    db.unwrap_or_else(|error| panic!("failed to open {}: {error:?}", database.url()))
}

impl<S, DB: Database> fmt::Debug for Instances<S, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instances")
            .field("service", &self.name)
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
