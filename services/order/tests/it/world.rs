//! A running order service, and everything around it that a test needs.

use std::sync::Arc;

use contracts::{Currency, Money, OrderId};
use order::{Orders, Settings};
use pavane::{Event, any::Db};
use pavane_contract::RawEnvelope;
use pavane_testkit::{FreshDatabase, Instances, Served, until};
use reqwest::{Client, Response};
use serde_json::{Value, json};

/// An instance of the order service behind HTTP.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) url: String,
    /// The service, for all its instances.
    pub(crate) order: Arc<Instances<Orders>>,
    /// The instance's own connections: what they are told it keeps to.
    pub(crate) db: Db,
    pub(crate) served: Served,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_on(FreshDatabase::sqlite()).await
    }

    pub(crate) async fn start_on(database: FreshDatabase) -> Self {
        Self::start_with(database, Settings::default()).await
    }

    pub(crate) async fn start_with(database: FreshDatabase, settings: Settings) -> Self {
        let order = Instances::none(&database, || order::service(Orders::default())).await;
        Self::serve(Arc::new(order), settings).await
    }

    /// One more instance on the same bus and the same database.
    pub(crate) async fn beside(&self, settings: Settings) -> Self {
        Self::serve(Arc::clone(&self.order), settings).await
    }

    async fn serve(order: Arc<Instances<Orders>>, settings: Settings) -> Self {
        let app = order.connect().await;
        let db = app.db().clone();
        let served = Served::start(|listener, shutdown| order::serve(app, settings, listener, shutdown)).await;
        Self { client: Client::new(), url: served.url(""), order, db, served }
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
        until(&format!("{id} to be {status}"), async || {
            let order = self.order(id).await;
            (order["status"] == status).then_some(order)
        })
        .await
    }

    pub(crate) async fn cancel(&self, id: OrderId) -> Answer {
        self.post(&format!("/orders/{id}/cancel"), "").await
    }

    /// The events about an order that the service emitted, in order.
    pub(crate) fn said(&self, id: OrderId) -> Vec<RawEnvelope> {
        self.order.emitted_events(id.as_uuid().into())
    }

    /// How often the service said something about an order.
    pub(crate) fn times_said<E: Event>(&self, id: OrderId) -> usize {
        self.order.emitted::<E>(id.as_uuid().into()).len()
    }

    /// The causes of all dead letters.
    pub(crate) fn dead(&self) -> Vec<String> {
        self.order.dead_letters().into_iter().map(|letter| letter.cause).collect()
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
