//! A shop to watch: every service runs in this process and can be stopped alone.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use monitor::{Settings, Token};
use pavane::Config;
use pavane_bus::{JetStream, jetstream};
use pavane_contract::SystemClock;
use pavane_testkit::{
    Served,
    servers::{Nats, Tools},
    until,
};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shipping::{self, Carrier};

/// What lets a test act.
pub(crate) const TOKEN: &str = "correct-horse-battery";

/// A shop and its monitor.
pub(crate) struct Shop {
    nats: Nats,
    folder: TempDir,
    pub(crate) http: Client,
    pub(crate) carrier: Carrier,
    running: BTreeMap<&'static str, Served>,
}

impl Shop {
    /// A shop with a monitor that has a token.
    pub(crate) async fn open() -> Self {
        let token = Token::new(TOKEN).unwrap();
        let settings = Settings::default().opened().with_person("Thoinot", token).unwrap();
        Self::watched_by(settings.linking_traces_to("http://127.0.0.1:16686/trace/{trace}".to_owned()).unwrap()).await
    }

    /// A shop with a monitor.
    pub(crate) async fn watched_by(settings: Settings) -> Self {
        let mut shop = Self {
            nats: Nats::start(&Tools::from_env()).await.unwrap(),
            folder: TempDir::new().unwrap(),
            http: Client::new(),
            carrier: Carrier::default(),
            running: BTreeMap::new(),
        };
        shop.start_monitor(settings).await;
        for service in ["psp", "order", "payment", "inventory", "notification"] {
            shop.start(service).await;
        }
        shop.start_shipping().await;
        for service in ["psp", "order", "payment", "inventory", "notification", "monitor"] {
            shop.ready(service).await;
        }
        let stock = shop.http.put(shop.url("inventory", "/stock/book")).json(&json!({ "on_hand": 1000 }));
        assert_eq!(stock.send().await.unwrap().status(), StatusCode::OK);
        until("all services to have said what they are", async || {
            let overview = shop.get("/api/overview").await;
            (overview["services"].as_array()?.len() == 5 && overview["loaded"] == true).then_some(())
        })
        .await;
        shop
    }

    async fn start(&mut self, service: &'static str) {
        let config = self.config(service);
        let served = match service {
            "psp" => {
                let faults = psp::Faults { slow: Duration::ZERO, hold: Duration::ZERO };
                let psp = psp::Psp::open(&self.database(service), Arc::new(SystemClock), faults).await.unwrap();
                Served::start(|listener, shutdown| psp::serve(listener, psp, shutdown)).await
            }
            "order" => {
                let settings = order::Settings::default();
                Served::start(|listener, shutdown| order::run(config, settings, listener, Box::pin(shutdown))).await
            }
            "payment" => {
                let mut settings = payment::Settings::default();
                settings.psp_url = self.url("psp", "");
                Served::start(|listener, shutdown| payment::run(config, settings, listener, Box::pin(shutdown))).await
            }
            "inventory" => {
                Served::start(|listener, shutdown| inventory::run(config, listener, Box::pin(shutdown))).await
            }
            "notification" => {
                let mut settings = notification::Settings::default();
                settings.maildir = self.folder.path().join("mail");
                Served::start(|listener, shutdown| notification::run(config, settings, listener, Box::pin(shutdown)))
                    .await
            }
            other => panic!("there is no service {other}"),
        };
        self.running.insert(service, served);
    }

    /// Starts the monitor, for the first time or again, elsewhere.
    pub(crate) async fn start_monitor(&mut self, settings: Settings) {
        let bus = jetstream::Config::new(self.nats.url(), monitor::NAME);
        let served =
            Served::start(|listener, shutdown| monitor::run(bus, settings, listener, Box::pin(shutdown))).await;
        self.running.insert("monitor", served);
    }

    /// Starts the shipping service, for the first time or again.
    pub(crate) async fn start_shipping(&mut self) {
        let app = shipping::service(self.carrier.clone()).connect(self.config("shipping")).await.unwrap();
        self.running.insert("shipping", Served::start(|_, shutdown| app.run_until(shutdown)).await);
    }

    /// Stops a service as SIGTERM would.
    pub(crate) async fn stop(&mut self, service: &str) {
        self.running.get_mut(service).unwrap().stop().await;
    }

    /// Lets the carrier take parcels, or not.
    pub(crate) fn strike(&self, on_strike: bool) {
        self.carrier.on_strike.store(on_strike, Ordering::Relaxed);
    }

    /// A connection of somebody who does what the monitor doesn't know of.
    pub(crate) async fn bus(&self) -> JetStream {
        JetStream::connect(jetstream::Config::new(self.nats.url(), "stranger")).await.unwrap()
    }

    /// Lets the carrier give parcels back, or not.
    pub(crate) fn keep_parcels(&self, keeps: bool) {
        self.carrier.keeps.store(keeps, Ordering::Relaxed);
    }

    /// Places an order that can be confirmed, and returns its id.
    pub(crate) async fn order(&self) -> String {
        self.order_paid_with("pm_card_visa").await
    }

    /// Places an order and returns its id. The provider's test cards say how paying goes.
    pub(crate) async fn order_paid_with(&self, card: &str) -> String {
        let order = json!({
            "email": "thoinot@example.com",
            "currency": "EUR",
            "lines": [{ "sku": "book", "quantity": 1, "unit_price_minor": 1_999 }],
            "ship_to": { "name": "Thoinot Arbeau", "street": "1 Rue de la Pavane", "city": "Langres", "postal_code": "52200", "country": "FR" },
            "card": card,
        });
        let answer = self.http.post(self.url("order", "/orders")).json(&order).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, StatusCode::CREATED, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Where a service is.
    pub(crate) fn url(&self, service: &str, path: &str) -> String {
        self.running[service].url(path)
    }

    /// What the monitor answers, which must be in order.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(self.url("monitor", path)).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path} answers {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// What the monitor answers to an action of somebody who shows a token, or none.
    pub(crate) async fn act(&self, path: &str, body: &Value, token: Option<&str>) -> (StatusCode, Value) {
        let request = self.http.post(self.url("monitor", path)).json(body);
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Waits until the monitor has read of a saga.
    pub(crate) async fn known(&self, key: &str) {
        until(&format!("the monitor to know {key}"), async || {
            let answer = self.http.get(self.url("monitor", &format!("/api/sagas/{key}"))).send().await.unwrap();
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Waits until the monitor shows a saga in this state, and returns its report.
    pub(crate) async fn saga(&self, key: &str, state: &str) -> Value {
        until(&format!("{key} to be {state}"), async || {
            let answer = self.http.get(self.url("monitor", &format!("/api/sagas/{key}"))).send().await.unwrap();
            let saga: Value = answer.json().await.unwrap();
            (saga["report"]["summary"]["state"] == state).then_some(saga)
        })
        .await
    }

    pub(crate) async fn ready(&self, service: &str) {
        until(&format!("{service} to be ready"), async || {
            let answer = self.http.get(self.url(service, "/readyz")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    fn config(&self, service: &str) -> Config {
        Config::new(self.nats.url()).database(self.database(service))
    }

    fn database(&self, service: &str) -> String {
        format!("sqlite:{}", self.folder.path().join(format!("{service}.db")).display())
    }
}
