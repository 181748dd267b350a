use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pavane_contract::SystemClock;
use psp::{Faults, Psp};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far beyond what any test waits for.
pub(crate) const FOREVER: Duration = Duration::from_mins(10);

/// A provider inside the test process, and a client of it.
pub(crate) struct Provider {
    pub(crate) client: ApiClient,
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

/// Speaks to the provider's API.
#[derive(Clone)]
pub(crate) struct ApiClient {
    pub(crate) url: String,
    pub(crate) http: Client,
}

/// An answer, taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) replayed: bool,
}

impl Provider {
    /// A provider whose faults take no time.
    pub(crate) async fn start() -> Result<Self> {
        Self::start_on("sqlite::memory:", Faults { slow: Duration::ZERO, hold: Duration::ZERO }).await
    }

    pub(crate) async fn start_with(faults: Faults) -> Result<Self> {
        Self::start_on("sqlite::memory:", faults).await
    }

    pub(crate) async fn start_in(folder: &Path) -> Result<Self> {
        let url = format!("sqlite:{}", folder.join("psp.db").display());
        Self::start_on(&url, Faults { slow: Duration::ZERO, hold: Duration::ZERO }).await
    }

    async fn start_on(database_url: &str, faults: Faults) -> Result<Self> {
        let psp = Psp::open(database_url, Arc::new(SystemClock), faults).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = ApiClient::new(format!("http://{}", listener.local_addr()?));
        let stop = CancellationToken::new();
        let served = tokio::spawn(psp::serve(listener, psp, stop.clone().cancelled_owned()));
        Ok(Self { client, stop, served })
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        // An idle connection would be waited for.
        drop(self.client);
        Ok(self.served.await??)
    }
}

impl ApiClient {
    pub(crate) fn new(url: String) -> Self {
        Self { url, http: Client::new() }
    }

    pub(crate) async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Result<Answer> {
        let mut request = self.http.request(Method::POST, format!("{}{path}", self.url)).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        answer(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        answer(self.http.get(format!("{}{path}", self.url))).await
    }

    /// Authorises 42.00 EUR, which must go well, and returns the intent's id.
    pub(crate) async fn authorize(&self, card: &str, key: &str) -> Result<String> {
        let answer = self.post(INTENTS, Some(key), &intent(card, "order-1")).await?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        answer.id()
    }

    pub(crate) async fn capture(&self, id: &str, key: &str) -> Result<Answer> {
        self.post(&format!("{INTENTS}/{id}/capture"), Some(key), &json!({})).await
    }

    pub(crate) async fn cancel(&self, id: &str, key: &str) -> Result<Answer> {
        self.post(&format!("{INTENTS}/{id}/cancel"), Some(key), &json!({})).await
    }

    pub(crate) async fn refund(&self, id: &str, amount: Option<i64>, key: &str) -> Result<Answer> {
        self.post("/v1/refunds", Some(key), &json!({ "payment_intent": id, "amount": amount })).await
    }

    pub(crate) async fn intents_of(&self, order_id: &str) -> Result<Vec<Value>> {
        let answer = self.get(&format!("{INTENTS}?order_id={order_id}")).await?;
        answer.body["data"].as_array().cloned().context("a list")
    }

    /// (captured, refunded, open authorisations, what they reserve), in EUR.
    pub(crate) async fn books(&self) -> Result<(i64, i64, i64, i64)> {
        let answer = self.get("/v1/balance").await?;
        let line = &answer.body["currencies"][0];
        let number = |name: &str| line[name].as_i64().with_context(|| format!("{name} in {answer:?}"));
        let open = (number("open_authorizations")?, number("open_authorizations_amount")?);
        Ok((number("captured")?, number("refunded")?, open.0, open.1))
    }
}

pub(crate) const INTENTS: &str = "/v1/payment_intents";

pub(crate) fn intent(card: &str, order_id: &str) -> Value {
    json!({
        "amount": 4200, "currency": "eur", "payment_method": card, "capture_method": "manual",
        "metadata": { "order_id": order_id },
    })
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer> {
    let response = request.send().await?;
    let replayed = response.headers().contains_key("idempotent-replayed");
    let status = response.status().as_u16();
    let text = response.text().await?;
    let body = serde_json::from_str(&text).with_context(|| format!("{status}: {text}"))?;
    Ok(Answer { status, body, replayed })
}

impl Answer {
    pub(crate) fn id(&self) -> Result<String> {
        Ok(self.body["id"].as_str().with_context(|| format!("an id in {self:?}"))?.to_owned())
    }

    /// (status, type, code, param) of an error.
    pub(crate) fn error(&self) -> (u16, &str, &str, &str) {
        let text = |name: &str| self.body["error"][name].as_str().unwrap_or_default();
        (self.status, text("type"), text("code"), text("param"))
    }
}
