//! A running order service, and everything around it that a test needs.

use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};

use contracts::{Currency, Money, OrderId};
use order::{Orders, Settings};
use pavane::{Config, Envelope, Event, SagaId, any::Db, database::Config as DbConfig};
use pavane_bus::{
    Bus as _, Memory, Outgoing,
    memory::Stored,
    topology::{DEAD_LETTERS, EVENTS},
};
use pavane_contract::{Cause, Clock as _, EventId, EventRef, Meta, RawEnvelope, SystemClock, codec, subject};
use pavane_testkit::servers::Postgres;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(crate) const REACTIONS: [&str; 3] = ["order_track-progress", "order_confirm-order", "order_cancel-order"];

/// An order service on a bus in memory.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) bus: Memory,
    pub(crate) db: Db,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) running: JoinHandle<anyhow::Result<()>>,
    _folder: Option<Arc<TempDir>>,
}

/// A database of its own for a test.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) url: String,
    folder: Option<Arc<TempDir>>,
}

pub(crate) fn sqlite() -> Database {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("order.db").display());
    Database { url, folder: Some(Arc::new(folder)) }
}

pub(crate) async fn postgres() -> Database {
    let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    Database { url, folder: None }
}

/// The databases that every test of stored state runs on.
pub(crate) async fn databases() -> [Database; 2] {
    [sqlite(), postgres().await]
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_on(sqlite()).await
    }

    pub(crate) async fn start_on(database: Database) -> Self {
        Self::join(Memory::new(Arc::new(SystemClock)), database, Settings::default()).await
    }

    /// One more instance on a bus and a database.
    pub(crate) async fn join(bus: Memory, database: Database, settings: Settings) -> Self {
        let db = Db::open(DbConfig::new("order", &database.url)).await.unwrap();
        let service = order::service(Orders::default());
        let app = service.connect_to(db.clone(), bus.clone(), Config::new("")).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(order::serve(app, settings, listener, async move { drop(stopped.await) }));
        Self { client: Client::new(), url, bus, db, stop: Some(stop), running, _folder: database.folder }
    }

    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<String>) -> Answer {
        Answer::of(self.client.post(format!("{}{path}", self.url)).body(body.into()).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.client.get(format!("{}{path}", self.url)).send().await.unwrap()).await
    }

    /// Places an order as a request with an idempotency key.
    pub(crate) async fn place_with_key(&self, key: &str, body: &Value) -> Answer {
        let request = self.client.post(format!("{}/orders", self.url)).header("Idempotency-Key", key);
        Answer::of(request.body(body.to_string()).send().await.unwrap()).await
    }

    /// Places an order that is fine.
    pub(crate) async fn place(&self) -> OrderId {
        let placed = self.post("/orders", fine().to_string()).await;
        assert_eq!(placed.status, 201, "{placed:?}");
        placed.id()
    }

    pub(crate) async fn order(&self, id: OrderId) -> Value {
        let answer = self.get(&format!("/orders/{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Waits until an order has a status.
    pub(crate) async fn until_status(&self, id: OrderId, status: &str) -> Value {
        until(&format!("{id} to be {status}"), || async {
            let order = self.order(id).await;
            (order["status"] == status).then_some(order)
        })
        .await
    }

    pub(crate) async fn cancel(&self, id: OrderId) -> Answer {
        self.post(&format!("/orders/{id}/cancel"), "").await
    }

    /// Publishes an event; again as often as it is called, for the broker does not recognise it.
    pub(crate) async fn publish(&self, event: &RawEnvelope) {
        self.bus.publish(vec![outgoing(event)]).await.remove(0).unwrap();
    }

    /// The events about an order in the stream, in order.
    pub(crate) fn said(&self, id: OrderId) -> Vec<RawEnvelope> {
        let key = id.to_string();
        let events = self.bus.messages(EVENTS).into_iter().filter_map(|stored| decoded(&stored));
        events.filter(|event| event.meta.key.as_str() == key).collect()
    }

    /// How often the service said something about an order.
    pub(crate) fn times_said<E: Event>(&self, id: OrderId) -> usize {
        self.said(id).iter().filter(|event| event.meta.event.name == E::NAME).count()
    }

    /// The causes of all dead letters.
    pub(crate) fn dead(&self) -> Vec<String> {
        let dead = self.bus.messages(DEAD_LETTERS);
        let cause = |stored: &Stored| stored.message.headers.get("pavane-dead-cause").map(str::to_owned);
        dead.iter().map(|stored| cause(stored).unwrap_or_default()).collect()
    }

    /// Waits until every event is handled and published.
    pub(crate) async fn settle(&self) {
        until("the service to come to rest", || async {
            let backlog = pavane_outbox::internal::backlog(&self.db).await.unwrap();
            let idle = REACTIONS.iter().all(|reaction| {
                let pending = self.bus.pending(reaction).unwrap();
                pending.unsettled == 0 && pending.undelivered == 0
            });
            let letters = pavane_inbox::dead_letter::waiting(&self.db).await.unwrap();
            (backlog.unsent == 0 && letters == 0 && idle).then_some(())
        })
        .await;
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.db.readers()).await.unwrap()
    }
}

/// An HTTP answer, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) location: String,
    pub(crate) replayed: bool,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (content_type, location) = (header("content-type"), header("location"));
        let replayed = header("idempotency-replayed").is_some_and(|value| value == "true");
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        let (content_type, location) = (content_type.unwrap_or_default(), location.unwrap_or_default());
        Self { status, content_type, location, replayed, text, body }
    }

    /// The order in it.
    pub(crate) fn id(&self) -> OrderId {
        self.body["id"].as_str().unwrap().parse().unwrap()
    }

    /// The fields that it complains about.
    pub(crate) fn fields(&self) -> Vec<&str> {
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status, "{self:?}");
        let errors = self.body["errors"].as_array();
        errors.into_iter().flatten().map(|error| error["field"].as_str().unwrap()).collect()
    }
}

/// An order that is fine: 2 × 4.50 EUR.
pub(crate) fn fine() -> Value {
    json!({
        "email": "ada@example.com",
        "lines": [{ "sku": "TEA-1", "quantity": 2, "unit_price_minor": 450 }],
        "currency": "EUR",
        "ship_to": {
            "name": "Ada", "street": "Rosenweg 1", "city": "Berlin", "postal_code": "10115", "country": "DE",
        },
        "card": "pm_card_visa",
    })
}

pub(crate) fn eur(minor: i64) -> Money {
    Money { minor, currency: "EUR".parse::<Currency>().unwrap() }
}

/// The names of an order's facts, in the order in which they were learnt.
pub(crate) fn facts(order: &Value) -> Vec<&str> {
    order["history"].as_array().unwrap().iter().map(|entry| entry["fact"].as_str().unwrap()).collect()
}

/// An event as another service would emit it.
pub(crate) fn envelope<E: Event>(saga: SagaId, event: &E) -> RawEnvelope {
    let meta = Meta {
        id: EventId::new(&SystemClock),
        event: EventRef::of::<E>(),
        key: event.key(),
        source: "test".to_owned(),
        time: SystemClock.now(),
        cause: Cause::new(saga, SystemClock.now()),
    };
    Envelope { meta: meta.into(), body: event }.into_raw().unwrap()
}

pub(crate) fn outgoing(event: &RawEnvelope) -> Outgoing {
    Outgoing {
        subject: subject::of(&event.meta.event, &event.meta.key),
        headers: codec::encode(event),
        payload: event.body.clone(),
        message_id: EventId::new(&SystemClock).to_string(),
    }
}

fn decoded(stored: &Stored) -> Option<RawEnvelope> {
    codec::decode(&stored.message.headers, stored.message.payload.clone(), 1 << 20).ok()
}

/// Polls until `condition` gives something.
pub(crate) async fn until<T: Debug, F: Future<Output = Option<T>>>(what: &str, condition: impl Fn() -> F) -> T {
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
