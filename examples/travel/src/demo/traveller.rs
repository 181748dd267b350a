//! Travellers: they request trips over HTTP, answer or don't, cancel or don't, and watch until their trip has ended.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{company::Company, scenario::Scenario};
use crate::trip::entries::NewTrip;

/// How long a trip may take until its traveller complains.
const PATIENCE: Duration = Duration::from_mins(2);

/// A trip and how it ended.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Settled {
    /// Which way it was to go.
    pub scenario: Scenario,
    /// The trip.
    pub trip: String,
    /// How many fly.
    pub passengers: usize,
    /// How it ended: `confirmed` or `cancelled`; how far it is, when it didn't in time.
    pub status: String,
    /// Why it was cancelled.
    pub cancel_reason: Option<String>,
    /// Whether it has a car.
    pub has_car: bool,
    /// What it cost.
    pub total_cents: i64,
    /// Milliseconds from the request to the end.
    pub millis: u128,
}

impl Settled {
    /// Whether it is confirmed.
    pub fn is_confirmed(&self) -> bool {
        self.status == "confirmed"
    }

    /// Whether it ended as it must.
    pub fn is_as_expected(&self) -> bool {
        let has_ended = self.is_confirmed() || self.status == "cancelled";
        has_ended && self.cancel_reason.as_deref() == self.scenario.cancel_reason()
    }
}

/// Requests all trips, some at the same time, and waits until each has ended.
///
/// # Errors
///
/// When a trip can't be requested.
pub async fn travel_all(company: &Company, scenarios: Vec<Scenario>, at_once: usize) -> Result<Vec<Settled>> {
    stream::iter(scenarios.into_iter().enumerate())
        .map(|(number, scenario)| travel(company, number, scenario))
        .buffer_unordered(at_once)
        .try_collect()
        .await
}

async fn travel(company: &Company, number: usize, scenario: Scenario) -> Result<Settled> {
    let started = Instant::now();
    let new = scenario.request(number);
    let trip = request(company, &new).await?;
    let last = live_through(company, scenario, &trip, started).await?;
    Ok(Settled {
        scenario,
        trip,
        passengers: new.wishes.passengers.len(),
        status: last["status"].as_str().context("a trip has no status")?.to_owned(),
        cancel_reason: last["cancel_reason"].as_str().map(str::to_owned),
        has_car: last["has_car"].as_bool().unwrap_or_default(),
        total_cents: last["total_cents"].as_i64().unwrap_or_default(),
        millis: started.elapsed().as_millis(),
    })
}

async fn request(company: &Company, new: &NewTrip) -> Result<String> {
    let response = company.http().post(company.url("trip", "/trips")).json(new).send().await?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "a trip was not taken: {status} {text}");
    let view: Value = serde_json::from_str(&text)?;
    Ok(view["id"].as_str().context("a trip has no id")?.to_owned())
}

/// Looks at the trip, less and less often, and does what the traveller does, until it has ended.
async fn live_through(company: &Company, scenario: Scenario, trip: &str, started: Instant) -> Result<Value> {
    let url = company.url("trip", &format!("/trips/{trip}"));
    let (mut answer, mut cancelled_at) = (scenario.answer(), scenario.cancelled_at());
    let mut pause = Duration::from_millis(20);
    loop {
        let view: Value = company.http().get(&url).send().await?.error_for_status()?.json().await?;
        let status = view["status"].as_str().unwrap_or_default();
        if matches!(status, "confirmed" | "cancelled") || started.elapsed() > PATIENCE {
            return Ok(view);
        }
        if status == "asking"
            && let Some(agrees) = answer.take()
        {
            let body = json!({ "by": view["traveller"], "agrees": agrees });
            company.http().put(format!("{url}/price")).json(&body).send().await?.error_for_status()?;
        }
        if cancelled_at == Some(status) {
            cancelled_at = None;
            // The provider is at work, and holds its answer back.
            sleep(Duration::from_millis(500)).await;
            company.http().post(format!("{url}/cancel")).send().await?.error_for_status()?;
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}
