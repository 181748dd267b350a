//! The auditor: adds up the books of each service and of the provider, and compares them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{customer::Settled, scenario::End, shop::Shop};

/// The books of the services and the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Books {
    /// Captured at the provider, in minor units.
    pub provider_captured: i64,
    /// Refunded at the provider.
    pub provider_refunded: i64,
    /// Authorisations at the provider that are neither captured nor cancelled.
    pub provider_open: i64,
    /// Captured, says the payment service.
    pub payment_captured: i64,
    /// Refunded, says the payment service.
    pub payment_refunded: i64,
    /// Authorised and neither captured nor voided, says the payment service.
    pub payment_open: i64,
    /// Pieces on hand.
    pub on_hand: i64,
    /// Pieces reserved for orders.
    pub reserved: i64,
    /// Pieces shipped.
    pub shipped: i64,
    /// Orders with an outcome.
    pub outcomes: i64,
    /// Events that should have been published and are not.
    pub unsent: i64,
}

/// One thing that must be true.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// In words.
    pub what: String,
    /// What it should be.
    pub expected: i64,
    /// What it is.
    pub found: i64,
}

impl Check {
    /// Whether it is true.
    pub const fn passed(&self) -> bool {
        self.expected == self.found
    }
}

/// What the auditor found.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Audit {
    /// All that was checked.
    pub checks: Vec<Check>,
}

impl Audit {
    /// Audits until everything balances, or gives up after a while and tells what doesn't: a service may still be writing
    /// down what the customers know already.
    ///
    /// # Errors
    ///
    /// When a service doesn't answer.
    pub async fn wait(shop: &Shop, before: &Books, orders: &[Settled]) -> Result<Self> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let audit = Self::of(before, &Books::read(shop).await?, orders);
            if audit.passed() || Instant::now() > deadline {
                return Ok(audit);
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Whether everything balances.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(Check::passed)
    }

    /// Compares the books with what the orders should have done to them.
    pub fn of(before: &Books, after: &Books, orders: &[Settled]) -> Self {
        let confirmed = orders.iter().filter(|order| order.end == Some(End::Confirmed));
        let revenue: i64 = confirmed.map(|order| order.total).sum();
        let count = |orders: usize| i64::try_from(orders).unwrap_or(i64::MAX);
        let as_expected = orders.iter().filter(|order| order.is_as_expected()).count();
        let check = |what: &str, expected: i64, found: i64| Check { what: what.to_owned(), expected, found };
        let captured = after.provider_captured - before.provider_captured;
        let refunded = after.provider_refunded - before.provider_refunded;
        let says_captured = after.payment_captured - before.payment_captured;
        let says_refunded = after.payment_refunded - before.payment_refunded;
        let checks = vec![
            check("orders that ended as they must", count(orders.len()), count(as_expected)),
            check("orders with exactly one outcome", count(orders.len()), after.outcomes - before.outcomes),
            check("money at the provider: captured − refunded", revenue, captured - refunded),
            check("money in the payment service: captured − refunded", revenue, says_captured - says_refunded),
            check(
                "stock before = stock after + shipped",
                before.on_hand,
                after.on_hand + after.shipped - before.shipped,
            ),
            check("reservations left over", before.reserved, after.reserved),
            check("authorisations left over at the provider", before.provider_open, after.provider_open),
            check("authorisations left over in the payment service", before.payment_open, after.payment_open),
            check("events left in an outbox", 0, after.unsent),
        ];
        Self { checks }
    }
}

impl Books {
    /// Asks the services and the provider.
    ///
    /// # Errors
    ///
    /// When a service doesn't answer, or not as it should.
    pub async fn read(shop: &Shop) -> Result<Self> {
        let mut books = Self::default();
        let balance = get(shop, "psp", "/v1/balance").await?;
        for currency in balance["currencies"].as_array().context("the provider has no balance")? {
            books.provider_captured += int(currency, "captured")?;
            books.provider_refunded += int(currency, "refunded")?;
            books.provider_open += int(currency, "open_authorizations")?;
        }
        let payments = get(shop, "payment", "/payments/summary").await?;
        for currency in payments["currencies"].as_array().context("the payment service has no summary")? {
            books.payment_captured += int(currency, "captured")?;
            books.payment_refunded += int(currency, "refunded")?;
            books.payment_open += int(currency, "open_authorizations")?;
        }
        for stock in get(shop, "inventory", "/stock").await?.as_array().context("the inventory has no list")? {
            books.on_hand += int(stock, "on_hand")?;
            books.reserved += int(stock, "reserved")?;
            books.shipped += int(stock, "shipped")?;
        }
        for service in shop.urls().keys().filter(|service| **service != "psp") {
            books.unsent += unsent(shop, service).await?;
        }
        for status in ["confirmed", "cancelled"] {
            books.outcomes += outcomes(shop, status).await?;
        }
        Ok(books)
    }
}

/// How many events wait in a service's outbox, as its metrics say. One that has just started may not have counted yet.
async fn unsent(shop: &Shop, service: &str) -> Result<i64> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let wanted = format!("pavane_outbox_unsent{{service=\"{service}\"}} ");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = shop.http().get(shop.url(service, "/metrics")).send().await?.error_for_status()?.text().await?;
        if let Some(value) = metrics.lines().find_map(|line| line.strip_prefix(&wanted)) {
            return value.parse().context("not a number");
        }
        ensure!(Instant::now() < deadline, "{service} does not tell how many events wait in its outbox");
        sleep(Duration::from_millis(100)).await;
    }
}

/// How many orders have ended this way, counted page by page.
async fn outcomes(shop: &Shop, status: &str) -> Result<i64> {
    let mut outcomes = 0;
    let mut after = String::new();
    loop {
        let page = get(shop, "order", &format!("/orders?status={status}&limit=100{after}")).await?;
        let orders = page["orders"].as_array().context("the order service has no list")?;
        outcomes += i64::try_from(orders.len())?;
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(outcomes),
        }
    }
}

async fn get(shop: &Shop, service: &str, path: &str) -> Result<Value> {
    let response = shop.http().get(shop.url(service, path)).send().await;
    let response = response.and_then(reqwest::Response::error_for_status);
    Ok(response.with_context(|| format!("{service} does not answer {path}"))?.json().await?)
}

fn int(value: &Value, field: &str) -> Result<i64> {
    value[field].as_i64().with_context(|| format!("{field} is missing in {value}"))
}
