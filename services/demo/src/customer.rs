//! Customers: they place orders over HTTP, some cancel, some send twice, and all watch until their order has ended.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    scenario::{End, Scenario},
    shop::Shop,
};

/// What there is to buy, with prices in cents.
const GOODS: [(&str, i64); 3] = [("book", 1_999), ("lamp", 4_950), ("chair", 12_900)];
/// What there is none of.
const SOLD_OUT: &str = "the-last-one";
/// How long an order may take until its customer complains.
const PATIENCE: Duration = Duration::from_mins(2);

/// An order and how it ended.
#[derive(Debug, Clone, Serialize)]
pub struct Settled {
    /// Which way the order was to go.
    pub scenario: Scenario,
    /// The order.
    pub order_id: String,
    /// What it cost, in minor units.
    pub total: i64,
    /// How it ended; `None` when it didn't in time.
    pub end: Option<End>,
    /// Why it was cancelled.
    pub cancel_reason: Option<String>,
    /// Milliseconds from the request to the end.
    pub millis: u128,
}

impl Settled {
    /// Whether it ended as it must.
    pub fn is_as_expected(&self) -> bool {
        self.end == Some(self.scenario.end()) && self.cancel_reason.as_deref() == self.scenario.cancel_reason()
    }
}

/// Puts enough of everything on the shelves, and nothing of what is to be sold out.
///
/// # Errors
///
/// When the inventory service doesn't take it.
pub async fn fill_shelves(shop: &Shop, orders: usize) -> Result<()> {
    let plenty = i64::try_from(orders)?.saturating_mul(10).max(100);
    let goods = GOODS.iter().map(|(sku, _)| (*sku, plenty)).chain([(SOLD_OUT, 0)]);
    for (sku, on_hand) in goods {
        let request =
            shop.http().put(shop.url("inventory", &format!("/stock/{sku}"))).json(&json!({ "on_hand": on_hand }));
        let response = request.send().await?;
        if !response.status().is_success() {
            bail!("the inventory does not take {sku}: {}", response.text().await?);
        }
    }
    Ok(())
}

/// Places all orders, some at the same time, and waits until each has ended.
///
/// # Errors
///
/// When an order can't be placed.
pub async fn place_all(
    shop: &Shop,
    scenarios: Vec<Scenario>,
    at_once: usize,
    settled: impl Fn(),
) -> Result<Vec<Settled>> {
    stream::iter(scenarios.into_iter().enumerate())
        .map(|(number, scenario)| place(shop, number, scenario))
        .buffer_unordered(at_once)
        .inspect(|_| settled())
        .try_collect()
        .await
}

async fn place(shop: &Shop, number: usize, scenario: Scenario) -> Result<Settled> {
    let started = Instant::now();
    let order = request(number, scenario);
    let view = if scenario == Scenario::PostedTwice {
        post_twice(shop, number, &order).await?
    } else {
        post(shop, &order, None).await?
    };
    let order_id = view["id"].as_str().context("the order has no id")?.to_owned();
    if scenario == Scenario::CancelledWhilePaying {
        cancel(shop, &order_id).await?;
    }
    let last = watch(shop, &order_id, started).await?;
    Ok(Settled {
        scenario,
        order_id,
        total: view["total"]["minor"].as_i64().context("the order has no total")?,
        end: end(&last),
        cancel_reason: last["cancel_reason"].as_str().map(str::to_owned),
        millis: started.elapsed().as_millis(),
    })
}

/// The body of the request that places an order which is to go this way.
pub fn request(number: usize, scenario: Scenario) -> Value {
    let sold_out = scenario == Scenario::OutOfStock;
    let (sku, price) = if sold_out { (SOLD_OUT, 99_900) } else { GOODS[number % GOODS.len()] };
    let mut order = json!({
        "email": format!("customer-{number}@example.com"),
        "currency": "EUR",
        "lines": [{ "sku": sku, "quantity": 1 + number % 3, "unit_price_minor": price }],
        "ship_to": {
            "name": "Thoinot Arbeau",
            "street": "1 Rue de la Pavane",
            "city": if scenario == Scenario::NoCarrier { "Vostok Station" } else { "Langres" },
            "postal_code": "52200",
            "country": if scenario == Scenario::NoCarrier { "AQ" } else { "FR" },
        },
        "card": scenario.card(),
    });
    if scenario == Scenario::DeadlinePassed {
        order["deadline_seconds"] = json!(1);
    }
    order
}

async fn post(shop: &Shop, order: &Value, key: Option<&str>) -> Result<Value> {
    let mut request = shop.http().post(shop.url("order", "/orders")).json(order);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    if status != StatusCode::CREATED {
        bail!("an order was not taken: {status} {text}");
    }
    Ok(serde_json::from_str(&text)?)
}

/// A client that gave up waiting and sends the order again: there must be one order.
async fn post_twice(shop: &Shop, number: usize, order: &Value) -> Result<Value> {
    let key = format!("demo-{:016x}-{number}", rand::random::<u64>());
    let (first, second) = tokio::try_join!(post(shop, order, Some(&key)), post(shop, order, Some(&key)))?;
    if first["id"] != second["id"] {
        bail!("the same request made two orders, {} and {}", first["id"], second["id"]);
    }
    Ok(first)
}

async fn cancel(shop: &Shop, order_id: &str) -> Result<()> {
    // The provider is still thinking about the slow card.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let response = shop.http().post(shop.url("order", &format!("/orders/{order_id}/cancel"))).send().await?;
    if !response.status().is_success() {
        bail!("the order {order_id} can't be cancelled: {}", response.text().await?);
    }
    Ok(())
}

/// Looks at the order, less and less often, until it has ended.
async fn watch(shop: &Shop, order_id: &str, started: Instant) -> Result<Value> {
    let url = shop.url("order", &format!("/orders/{order_id}"));
    let mut pause = Duration::from_millis(20);
    loop {
        let view: Value = shop.http().get(&url).send().await?.error_for_status()?.json().await?;
        if end(&view).is_some() || started.elapsed() > PATIENCE {
            return Ok(view);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

fn end(view: &Value) -> Option<End> {
    match view["status"].as_str() {
        Some("confirmed") => Some(End::Confirmed),
        Some("cancelled") => Some(End::Cancelled),
        _ => None,
    }
}
