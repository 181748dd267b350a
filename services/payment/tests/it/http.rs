//! The whole service as it is deployed: over a real nats-server, on SQLite and on PostgreSQL, seen through HTTP.

use anyhow::{Context as _, Result};
use contracts::OrderId;
use pavane::Config;
use pavane_bus::{Bus as _, JetStream, jetstream};
use pavane_contract::RawEnvelope;
use pavane_testkit::{
    FreshDatabase, Served, outgoing,
    servers::{Nats, Tools},
    until,
};
use payment::{NAME, Settings};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    order::{Order, TOTAL},
    provider::{INSTANT, Provider},
};

/// The service in this process, and a client of it.
struct Running {
    served: Served,
    http: Client,
    bus: JetStream,
}

impl Running {
    async fn start(nats: &Nats, provider: &Provider, database: &FreshDatabase) -> Result<Self> {
        let mut settings = Settings::default();
        settings.psp_url = provider.url();
        let config = Config::new(nats.url()).database(database.url());
        let bus = JetStream::connect(jetstream::Config::new(nats.url(), "order")).await?;
        bus.provision(&config.topology).await?;
        let served =
            Served::start(|listener, shutdown| payment::run(config, settings, listener, Box::pin(shutdown))).await;
        Ok(Self { served, http: Client::new(), bus })
    }

    async fn publish(&self, event: RawEnvelope) -> Result<()> {
        for receipt in self.bus.publish(vec![outgoing(&event)]).await {
            receipt?;
        }
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<(u16, String, Value)> {
        let response = self.http.get(self.served.url(path)).send().await?;
        let (status, kind) = (response.status().as_u16(), response.headers().get("content-type").cloned());
        let kind = kind.context("a content type")?.to_str()?.to_owned();
        let text = response.text().await?;
        Ok((status, kind, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    async fn until(&self, order: OrderId, wanted: &str) -> Value {
        until(wanted, async || {
            let (_, _, payment) = self.get(&format!("/payments/{order}")).await.ok()?;
            (payment["status"] == wanted).then_some(payment)
        })
        .await
    }

    async fn stop(mut self) {
        // An idle connection would be waited for.
        drop(self.http);
        self.served.stop().await;
    }
}

async fn an_order_is_paid_and_given_back(database: &FreshDatabase) -> Result<()> {
    let nats = Nats::start(&Tools::from_env()).await?;
    let provider = Provider::start(INSTANT).await?;
    let [order, declined, voided] = [(); 3].map(|()| Order::new());
    let running = Running::start(&nats, &provider, database).await?;
    running.publish(declined.placed("pm_card_declined")).await?;
    running.until(declined.id, "declined").await;
    for order in [&order, &voided] {
        running.publish(order.placed("pm_card_visa")).await?;
        running.until(order.id, "authorized").await;
    }
    assert_eq!(running.get("/payments/summary").await?.2, summary(0, 0, 0, 2));
    running.publish(voided.cancelled()).await?;
    running.until(voided.id, "voided").await;
    running.publish(order.shipped()).await?;
    running.until(order.id, "captured").await;
    running.stop().await;

    // Started a second time in the same process, it goes on where it was.
    let running = Running::start(&nats, &provider, database).await?;
    running.publish(order.cancelled()).await?;
    let payment = running.until(order.id, "refunded").await;
    let intent = &provider.intents_of(order.id).await?[0];
    assert_eq!(payment["intent_id"], json!(intent.id));
    let amounts = ["amount", "authorized", "captured", "voided", "refunded"].map(|name| payment[name].clone());
    assert_eq!(amounts, [TOTAL, TOTAL, TOTAL, 0, TOTAL].map(Value::from));
    let history = payment["history"].as_array().context("a history")?;
    let history: Vec<_> = history.iter().map(|entry| entry["status"].clone()).collect();
    assert_eq!(history, ["authorized", "captured", "refunded"]);
    assert_eq!(running.get("/payments/summary").await?.2, summary(TOTAL, TOTAL, TOTAL, 0));
    running.stop().await;
    Ok(())
}

fn summary(captured: i64, refunded: i64, voided: i64, open: i64) -> Value {
    json!({ "currencies": [{
        "currency": "EUR", "payments": 3, "declined": 1, "captured": captured, "refunded": refunded,
        "kept": captured - refunded, "voided": voided, "open_authorizations": open,
        "open_authorizations_amount": open * TOTAL,
    }] })
}

#[tokio::test]
async fn on_sqlite() -> Result<()> {
    an_order_is_paid_and_given_back(&FreshDatabase::sqlite()).await
}

#[tokio::test]
async fn on_postgres() -> Result<()> {
    an_order_is_paid_and_given_back(&FreshDatabase::postgres().await).await
}

#[tokio::test]
async fn the_entry_answers_as_it_is_described() -> Result<()> {
    let nats = Nats::start(&Tools::from_env()).await?;
    let provider = Provider::start(INSTANT).await?;
    let database = FreshDatabase::sqlite();
    let running = Running::start(&nats, &provider, &database).await?;

    assert_eq!(running.get("/healthz").await?.0, 200);
    assert_eq!(running.get("/readyz").await?.2, json!({ "ready": true, "missing": [], "warnings": [] }));
    assert_eq!(running.get("/metrics").await?.0, 200);
    let (status, kind, problem) = running.get("/payments/not-a-uuid").await?;
    assert_eq!(
        (status, kind.as_str(), &problem["errors"][0]["field"]),
        (400, "application/problem+json", &json!("order_id"))
    );
    let (status, kind, problem) = running.get(&format!("/payments/{}", Order::new().id)).await?;
    assert_eq!((status, kind.as_str(), &problem["status"]), (404, "application/problem+json", &json!(404)));
    let described = running.get("/openapi.json").await?.2;
    for path in ["/payments/{order_id}", "/payments/summary"] {
        assert!(described["paths"][path]["get"].is_object(), "{path}");
    }
    running.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_service_that_cannot_start_says_why() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut settings = Settings::default();
    settings.psp_url = "ftp://provider".to_owned();
    let config = Config::new("nats://127.0.0.1:1").database(format!("sqlite:{NAME}-never-opened.db"));
    let refused = payment::run(config, settings, listener, Box::pin(std::future::pending())).await;
    let line = format!("{:#}", refused.err().context("a refusal")?);
    assert_eq!(line, "PSP_URL = \"ftp://provider\" can't be used: use https://host, or http://host:port");
    Ok(())
}
