//! A stage for tests: the service alone, on a bus in memory.

use std::{sync::Arc, time::Duration};

use contracts::{
    Address, Money, OrderId,
    inventory::StockReserved,
    order::{CancelReason, OrderCancelled, OrderConfirmed},
};
use pavane::{Config, Envelope, Event, SagaId, any::Db, database::Config as DbConfig};
use pavane_bus::{Bus as _, Memory, Outgoing, topology::EVENTS};
use pavane_contract::{Cause, Clock as _, EventId, EventRef, Meta, RawEnvelope, SystemClock, codec, subject};
use pavane_testkit::servers::Postgres;
use shipping::{Shipping, service};
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

/// A database of each kind. The folder holds the SQLite file.
pub(crate) async fn databases() -> (TempDir, [String; 2]) {
    let folder = TempDir::new().unwrap();
    let sqlite = format!("sqlite:{}", folder.path().join("shipping.db").display());
    (folder, [sqlite, postgres().await])
}

pub(crate) async fn postgres() -> String {
    Postgres::shared().await.unwrap().fresh_database().await.unwrap()
}

/// A service that runs: what stops it, and what it ends with.
type Running = (oneshot::Sender<()>, JoinHandle<Result<(), pavane::Error>>);

/// The service, running.
pub(crate) struct Stage {
    pub(crate) bus: Memory,
    pub(crate) db: Db,
    url: String,
    running: Vec<Running>,
}

impl Stage {
    /// Starts the service on a database.
    pub(crate) async fn open(url: &str) -> Self {
        let mut stage = Self::dark(url).await;
        stage.start().await;
        stage
    }

    /// The stage with its tables and consumers, but nobody on it: what is published waits.
    pub(crate) async fn dark(url: &str) -> Self {
        let bus = Memory::new(Arc::new(SystemClock));
        let db = Db::open(DbConfig::new(shipping::NAME, url)).await.unwrap();
        let app = service(Shipping).connect_to(db.clone(), bus.clone(), Config::new("")).await.unwrap();
        drop(app);
        Self { bus, db, url: url.to_owned(), running: Vec::new() }
    }

    /// Starts the service, or one more instance of it.
    pub(crate) async fn start(&mut self) {
        let db = Db::open(DbConfig::new(shipping::NAME, &self.url)).await.unwrap();
        let app = service(Shipping).connect_to(db, self.bus.clone(), Config::new("")).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        self.running.push((stop, tokio::spawn(app.run_until(async move { drop(stopped.await) }))));
    }

    pub(crate) async fn stop(&mut self) {
        for (stop, running) in self.running.drain(..) {
            drop(stop);
            running.await.unwrap().unwrap();
        }
    }

    /// Carrier, tracking number and status of an order's parcel.
    pub(crate) async fn parcel(&self, order: &Order) -> Option<[String; 3]> {
        let select = sqlx::query("select carrier, tracking, status from shipment where order_id = $1");
        let row = select.bind(order.id.to_string()).fetch_optional(self.db.readers()).await.unwrap()?;
        Some([0, 1, 2].map(|column| row.get(column)))
    }

    /// How many rows a query counts.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query(query).fetch_one(self.db.readers()).await.unwrap().get(0)
    }

    /// Publishes an event as its owner would.
    pub(crate) async fn publish<E: Event>(&self, order: &Order, event: &E) -> RawEnvelope {
        let raw = order.says(event);
        self.redeliver(&raw).await;
        raw
    }

    /// Publishes an event under another message id, so that the bus doesn't take it for a duplicate.
    pub(crate) async fn redeliver(&self, event: &RawEnvelope) {
        let outgoing = outgoing(event);
        self.bus.publish(vec![outgoing]).await.remove(0).unwrap();
    }

    /// What the service said about an order, in order.
    pub(crate) fn said(&self, order: &Order) -> Vec<RawEnvelope> {
        let (ours, key) = (format!("events.{}.", shipping::NAME), order.id.to_string());
        let messages = self.bus.messages(EVENTS).into_iter().map(|stored| stored.message);
        let ours = messages.filter(|it| it.subject.starts_with(&ours) && it.subject.ends_with(&key));
        ours.map(|it| codec::decode(&it.headers, it.payload, 1 << 20).unwrap()).collect()
    }

    /// The names of what the service said about an order.
    pub(crate) fn names(&self, order: &Order) -> Vec<String> {
        self.said(order).into_iter().map(|event| event.meta.event.name.clone()).collect()
    }

    /// Waits until everything published is handled and everything emitted is published.
    pub(crate) async fn settle(&self) {
        until("the stage to come to rest", || async {
            let idle = ["create-shipment", "cancel-shipment", "dispatch-shipment"].iter().all(|reaction| {
                let pending = self.bus.pending(&format!("shipping_{reaction}")).unwrap();
                pending.unsettled == 0 && pending.undelivered == 0
            });
            let backlog = pavane_outbox::internal::backlog(&self.db).await.unwrap();
            let letters = pavane_inbox::dead_letter::waiting(&self.db).await.unwrap();
            (idle && backlog.unsent == 0 && letters == 0).then_some(())
        })
        .await;
    }
}

/// An order as the others see it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) saga: SagaId,
    pub(crate) id: OrderId,
    ship_to: Address,
}

impl Order {
    /// An order to a country.
    pub(crate) fn to(country: &str) -> Self {
        let saga = SagaId::new(&SystemClock);
        let text = str::to_owned;
        let ship_to = Address {
            name: text("Ada"),
            street: text("Hauptstraße 1"),
            city: text("Berlin"),
            postal_code: text("10115"),
            country: text(country),
        };
        Self { saga, id: saga.as_uuid().into(), ship_to }
    }

    pub(crate) fn reserved(&self) -> StockReserved {
        StockReserved { order_id: self.id, ship_to: self.ship_to.clone() }
    }

    pub(crate) fn confirmed(&self) -> OrderConfirmed {
        OrderConfirmed { order_id: self.id, email: "ada@example.org".to_owned(), total: euros(500) }
    }

    pub(crate) fn cancelled(&self) -> OrderCancelled {
        let (email, reason) = ("ada@example.org".to_owned(), CancelReason::CustomerRequest);
        OrderCancelled { order_id: self.id, email, total: euros(500), reason }
    }

    /// An event of this order's saga.
    pub(crate) fn says<E: Event>(&self, event: &E) -> RawEnvelope {
        let meta = Meta {
            id: EventId::new(&SystemClock),
            event: EventRef::of::<E>(),
            key: event.key(),
            source: "test".to_owned(),
            time: SystemClock.now(),
            cause: Cause::new(self.saga, SystemClock.now()),
        };
        Envelope { meta: meta.into(), body: event }.into_raw().unwrap()
    }
}

/// An event as it is sent, under a message id of its own.
pub(crate) fn outgoing(event: &RawEnvelope) -> Outgoing {
    Outgoing {
        subject: subject::of(&event.meta.event, &event.meta.key),
        headers: codec::encode(event),
        payload: event.body.clone(),
        message_id: EventId::new(&SystemClock).to_string(),
    }
}

fn euros(minor: i64) -> Money {
    Money { minor, currency: "EUR".parse().unwrap() }
}

/// Polls until `condition` gives something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, condition: impl Fn() -> F) -> T {
    let wait = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}
