use std::{
    collections::HashSet,
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use pavane::{
    EntryPoint, Event, SagaId,
    database::{Database, Db, Entry, Service},
};
use pavane_bus::{Memory, topology::EVENTS};
use pavane_contract::{EventId, RawEnvelope};

use crate::{
    DeadLetter, VirtualClock,
    actor::Actor,
    database::{Place, Settings, TestDatabase, count},
    events::{bodies, dead_letters, envelope_by, envelope_each_by, names, outgoing_as, publish, read},
};

/// Puts a service on a stage: a database of its own, a bus in memory and a clock that only moves when told to.
///
/// The database is SQLite in memory. For a service of `pavane::postgres` it is a new database on a real PostgreSQL server, which is
/// found or fetched ([`servers::Tools`](crate::servers::Tools)), started once for all tests of the program, and made to go by the
/// stage's clock.
///
/// # Examples
///
/// ```
/// # use pavane::{Envelope, Event, Handled, on, any::{Service, Tx}};
/// # use pavane_testkit::given;
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
/// # #[event(name = "order.confirmed", key = order_id)]
/// # struct OrderConfirmed { order_id: String }
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
/// # #[event(name = "loyalty.points-added", key = order_id)]
/// # struct PointsAdded { order_id: String, points: u32 }
/// async fn add_points((): &(), tx: &mut Tx, order: &Envelope<OrderConfirmed>) -> Handled {
///     tx.emit(&PointsAdded { order_id: order.order_id.clone(), points: 10 }).await?;
///     Ok(())
/// }
///
/// fn service() -> Service<()> {
///     Service::new("loyalty", ()).react("add-points", on(add_points).emits::<PointsAdded>())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let stage = given(service()).receive(&OrderConfirmed { order_id: "7".into() }).await;
/// assert_eq!(stage.emitted::<PointsAdded>(), [PointsAdded { order_id: "7".into(), points: 10 }]);
/// # }
/// ```
pub fn given<S: Send + Sync + 'static, DB: Database>(service: Service<S, DB>) -> Given<S, DB> {
    Given { service, place: Place::of::<DB>() }
}

/// A service that is about to go on stage. Await it to have the [`Stage`].
#[must_use = "await it"]
pub struct Given<S, DB: Database = sqlx::Any> {
    service: Service<S, DB>,
    place: Place,
}

impl<S> Given<S, sqlx::Any> {
    /// Puts a service that runs on either database on a real PostgreSQL, as a service of `pavane::postgres` always is.
    pub const fn on_postgres(mut self) -> Self {
        self.place = Place::Postgres;
        self
    }
}

impl<S: Send + Sync + 'static, DB: Database> Given<S, DB> {
    /// [`Stage::receive`] as the first thing that happens.
    ///
    /// # Panics
    ///
    /// As there.
    pub async fn receive<E: Event>(self, event: &E) -> Stage<S, DB> {
        let mut stage = self.await;
        stage.receive(event).await;
        stage
    }
}

impl<S: Send + Sync + 'static, DB: Database> IntoFuture for Given<S, DB> {
    type Output = Stage<S, DB>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    /// # Panics
    ///
    /// When the service can't start, or there is no PostgreSQL for it: the message says how to get one.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(Stage::open(self))
    }
}

/// One service that works when it is told to, and what it made of it.
///
/// Everything runs in the calls of the test, in one order: there is nothing to wait for. Failed handlers are tried again
/// at once, the clock moving on to when that is due; timers wait for [`advance`](Self::advance).
pub struct Stage<S, DB: Database = sqlx::Any> {
    actor: Actor<S, DB, Memory>,
    entries: Vec<(String, Entry<DB>)>,
    state: Arc<S>,
    database: TestDatabase<DB>,
    bus: Memory,
    clock: VirtualClock,
    saga: SagaId,
    given: HashSet<EventId>,
    deliveries: usize,
    /// How many events the stream had when the latest call began.
    before: usize,
    next_timer: Option<Duration>,
}

impl<S: Send + Sync + 'static, DB: Database> Stage<S, DB> {
    async fn open(Given { service, place }: Given<S, DB>) -> Self {
        let clock = VirtualClock::new(0);
        let bus = Memory::new(Arc::new(clock.clone()));
        let name = service.manifest().service;
        let database =
            TestDatabase::open(place, &Settings { service: name, clock: Arc::new(clock.clone()), crash_points: None })
                .await;
        let app = Actor::connect(service, database.db.clone(), bus.clone()).await;
        let app = app.unwrap_or_else(|error| panic!("failed to start the service: {error}"));
        let entries = app.entries().map(|(name, entry)| (name.to_owned(), entry)).collect();
        let (state, saga) = (Arc::clone(app.state()), SagaId::new(&clock));
        let actor = Actor::of(app);
        let (given, deliveries, before, next_timer) = (HashSet::new(), 0, 0, None);
        Self { actor, entries, state, database, bus, clock, saga, given, deliveries, before, next_timer }
    }

    /// Gives the service an event of the stage's saga, and lets it work until it rests.
    ///
    /// # Panics
    ///
    /// When the event can't be encoded, or the service doesn't come to rest.
    pub async fn receive<E: Event>(&mut self, event: &E) -> &mut Self {
        let envelope = self.envelope(event);
        self.deliver(&envelope).await
    }

    /// Gives the service an event for each item of a list, all at once.
    ///
    /// # Panics
    ///
    /// As [`receive`](Self::receive), and when the list is longer than a saga's may be.
    pub async fn receive_each<E: Event>(&mut self, events: &[E]) -> &mut Self {
        let events = self.envelope_each(events);
        self.deliver_all(&events).await
    }

    /// Gives the service an event as it is: of another saga, for the second time, or not even readable.
    ///
    /// # Panics
    ///
    /// When the service doesn't come to rest.
    pub async fn deliver(&mut self, event: &RawEnvelope) -> &mut Self {
        self.deliver_all([event]).await
    }

    /// Gives the service several events at once, which it may handle in one transaction.
    ///
    /// # Panics
    ///
    /// When the service doesn't come to rest.
    pub async fn deliver_all<'a>(&mut self, events: impl IntoIterator<Item = &'a RawEnvelope>) -> &mut Self {
        self.before = self.bus.messages(EVENTS).len();
        let mut messages = Vec::new();
        for event in events {
            self.given.insert(event.meta.id);
            self.deliveries += 1;
            // Another message id each time: the broker's duplicate window must not be what saves the service.
            messages.push(outgoing_as(event, format!("{}-{}", event.meta.id, self.deliveries)));
        }
        publish(&self.bus, messages);
        self.work().await
    }

    /// An event of the stage's saga as it would be delivered.
    ///
    /// # Panics
    ///
    /// When it can't be encoded.
    pub fn envelope<E: Event>(&self, event: &E) -> RawEnvelope {
        envelope_by(&self.clock, self.saga, event)
    }

    /// As [`envelope`](Self::envelope), for the items of a list.
    ///
    /// # Panics
    ///
    /// When one can't be encoded, or there are more than a saga may have.
    pub fn envelope_each<E: Event>(&self, events: &[E]) -> Vec<RawEnvelope> {
        envelope_each_by(&self.clock, self.saga, events)
    }

    /// Lets the service work until it rests, for example after a request at an [`entry`](Self::entry).
    ///
    /// # Panics
    ///
    /// When it doesn't come to rest.
    pub async fn settle(&mut self) -> &mut Self {
        self.before = self.bus.messages(EVENTS).len();
        self.work().await
    }

    /// Lets time pass. Timers that come due go off at their time.
    ///
    /// # Panics
    ///
    /// When the service doesn't come to rest.
    pub async fn advance(&mut self, by: Duration) -> &mut Self {
        self.before = self.bus.messages(EVENTS).len();
        let until = self.clock.elapsed() + by;
        while let Some(due) = self.next_timer.filter(|due| self.clock.elapsed() + *due <= until) {
            self.clock.advance(due);
            self.work().await;
        }
        self.clock.advance(until.saturating_sub(self.clock.elapsed()));
        self.work().await
    }

    /// From now on, [`receive`](Self::receive) gives events of this saga. A stage begins with a saga of its own.
    pub const fn continue_saga(&mut self, saga: SagaId) -> &mut Self {
        self.saga = saga;
        self
    }

    /// The saga of the events that [`receive`](Self::receive) gives.
    pub const fn saga(&self) -> SagaId {
        self.saga
    }

    /// The bodies of the events of one type that the service emitted in the latest call, in order.
    ///
    /// # Panics
    ///
    /// When the body of one can't be read as `E`.
    pub fn emitted<E: Event>(&self) -> Vec<E> {
        bodies(self.emitted_events())
    }

    /// The names of all events that the service emitted in the latest call, in order.
    pub fn emitted_names(&self) -> Vec<String> {
        names(&self.emitted_events())
    }

    /// All events that the service emitted in the latest call, in order.
    pub fn emitted_events(&self) -> Vec<RawEnvelope> {
        let new = self.bus.messages(EVENTS).into_iter().skip(self.before);
        new.filter_map(|stored| read(&stored)).filter(|event| !self.given.contains(&event.meta.id)).collect()
    }

    /// What the service gave up on since it is on stage.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        dead_letters(&self.bus)
    }

    /// The number in the first column of the first row of a query.
    ///
    /// # Panics
    ///
    /// When there is none, or the database fails.
    pub async fn count(&self, sql: &'static str) -> i64 {
        count(self.db(), sql).await
    }

    /// The service's database.
    pub const fn db(&self) -> &Db<DB> {
        &self.database.db
    }

    /// The service's state, as its reactions see it.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// An entry point of the service, to make a request there. Call [`settle`](Self::settle) afterwards.
    ///
    /// # Panics
    ///
    /// When the wiring table has no such entry point.
    pub fn entry(&self, point: &EntryPoint) -> Entry<DB> {
        let entry = self.entries.iter().find(|(name, _)| *name == point.name());
        entry.unwrap_or_else(|| panic!("the service has no entry point {:?}", point.name())).1.clone()
    }

    /// The bus, to look at what is there or to make it fail.
    pub const fn bus(&self) -> &Memory {
        &self.bus
    }

    /// The clock that the service goes by.
    pub const fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    async fn work(&mut self) -> &mut Self {
        // Boxed: it is large, and would be a part of every test.
        let rested = Box::pin(self.actor.rest(&self.bus, &self.clock)).await;
        self.next_timer = rested.unwrap_or_else(|error| panic!("failed to step the service: {error}"));
        self
    }
}

impl<S, DB: Database> fmt::Debug for Stage<S, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("bus", &self.bus).field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl<S, DB: Database> fmt::Debug for Given<S, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("service", &self.service).finish_non_exhaustive()
    }
}
