//! Travellers: they request trips over HTTP, answer or don't, cancel or don't, and watch until their trip has ended.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{company::Company, scenario::Scenario};
use crate::trip::entries::NewTrip;

/// How long a trip may take until its traveller complains.
const PATIENCE: Duration = Duration::from_mins(4);

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
    /// Whether it may be confirmed although it was to be cancelled: its traveller cancelled too late; or services are killed, and the one
    /// with the timer of its deadline was down when the time came.
    pub may_be_confirmed: bool,
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
        let came_late = self.may_be_confirmed && self.is_confirmed();
        has_ended && (came_late || self.cancel_reason.as_deref() == self.scenario.cancel_reason())
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

/// Requests a trip, and waits until it has ended, or for four minutes. The number says for how many passengers, and who they are.
///
/// # Errors
///
/// When the trip service doesn't answer, or refuses.
pub async fn travel(company: &Company, number: usize, scenario: Scenario) -> Result<Settled> {
    let started = Instant::now();
    let new = scenario.request(number);
    let trip = request(company, &new).await?;
    let (last, cancelled_too_late) = live_through(company, scenario, &trip, started).await?;
    Ok(Settled {
        scenario,
        trip,
        passengers: new.wishes.passengers.len(),
        status: last["status"].as_str().context("a trip has no status")?.to_owned(),
        cancel_reason: last["cancel_reason"].as_str().map(str::to_owned),
        has_car: last["has_car"].as_bool().unwrap_or_default(),
        total_cents: last["total_cents"].as_i64().unwrap_or_default(),
        may_be_confirmed: cancelled_too_late || scenario == Scenario::RoomTooLate && company.loses_processes(),
        millis: started.elapsed().as_millis(),
    })
}

async fn request(company: &Company, new: &NewTrip) -> Result<String> {
    let response = company.send(Method::POST, "trip", "/trips", Some(&serde_json::to_value(new)?)).await?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "a trip was not taken: {status} {text}");
    let view: Value = serde_json::from_str(&text)?;
    Ok(view["id"].as_str().context("a trip has no id")?.to_owned())
}

/// Looks at the trip, less and less often, and does what the traveller does, until it has ended. Returns what it is then, and whether it
/// was cancelled too late.
async fn live_through(company: &Company, scenario: Scenario, trip: &str, started: Instant) -> Result<(Value, bool)> {
    let path = format!("/trips/{trip}");
    let (mut answer, mut cancelled_at) = (scenario.answer(), scenario.cancelled_at());
    let (mut pause, mut is_too_late) = (Duration::from_millis(20), false);
    loop {
        let view = company.get("trip", &path).await?;
        let status = view["status"].as_str().unwrap_or_default();
        if matches!(status, "confirmed" | "cancelled") || started.elapsed() > PATIENCE {
            return Ok((view, is_too_late));
        }
        if status == "asking"
            && let Some(agrees) = answer.take()
        {
            let body = json!({ "by": view["traveller"], "agrees": agrees });
            say(company, Method::PUT, &format!("{path}/price"), Some(&body)).await?;
        }
        if cancelled_at == Some(status) {
            cancelled_at = None;
            // The provider is at work, and holds its answer back.
            sleep(Duration::from_millis(500)).await;
            is_too_late = say(company, Method::POST, &format!("{path}/cancel"), None).await? == StatusCode::CONFLICT;
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

/// Tells the trip service something. A conflict is no failure: somebody was faster, or this was said before, by a request whose answer was
/// lost.
async fn say(company: &Company, method: Method, path: &str, body: Option<&Value>) -> Result<StatusCode> {
    let response = company.send(method, "trip", path, body).await?;
    let status = response.status();
    if status == StatusCode::CONFLICT { Ok(status) } else { Ok(response.error_for_status()?.status()) }
}
