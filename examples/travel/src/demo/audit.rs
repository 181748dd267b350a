//! The auditor: adds up the books of the provider and of each service, and compares them with how the trips ended.

use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    company::{Company, SERVICES},
    traveller::Settled,
};

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

/// The books, by `<service>.<name>`: numbers.
#[derive(Debug, Clone)]
pub struct Books(Value);

impl Books {
    /// Asks the services and the provider.
    ///
    /// # Errors
    ///
    /// When one doesn't answer, or not as it should.
    pub async fn read(company: &Company) -> Result<Self> {
        let mut books = serde_json::Map::new();
        books.insert("provider".to_owned(), company.get("provider", "/balance").await?);
        for service in SERVICES {
            let mut summary = company.get(service, "/summary").await?;
            summary["unsent"] = unsent(company, service).await?.into();
            books.insert(service.to_owned(), summary);
        }
        let questions = company.get("trip", "/questions").await?;
        books.insert("questions".to_owned(), questions.as_array().context("no list of questions")?.len().into());
        Ok(Self(books.into()))
    }

    /// A number; what isn't there is none.
    fn of(&self, path: &str) -> i64 {
        self.0.pointer(path).and_then(Value::as_i64).unwrap_or_default()
    }
}

/// Audits until everything balances, or gives up after a while and says what doesn't: a service may still be writing down what the
/// travellers know already.
///
/// # Errors
///
/// When a service doesn't answer.
pub async fn wait(company: &Company, before: &Books, trips: &[Settled]) -> Result<Vec<Check>> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let checks = checks(before, &Books::read(company).await?, trips);
        if checks.iter().all(Check::passed) || Instant::now() > deadline {
            return Ok(checks);
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// Compares the books with what the trips should have done to them.
fn checks(before: &Books, after: &Books, trips: &[Settled]) -> Vec<Check> {
    let sum = |of: &dyn Fn(&Settled) -> i64| trips.iter().map(of).sum::<i64>();
    let confirmed = |of: fn(&Settled) -> i64| sum(&|trip| if trip.is_confirmed() { of(trip) } else { 0 });
    let all = sum(&|_| 1);
    let (seats, rooms) = (confirmed(|trip| i64::try_from(trip.passengers).unwrap_or(i64::MAX)), confirmed(|_| 1));
    let (cars, revenue) = (confirmed(|trip| trip.has_car.into()), confirmed(|trip| trip.total_cents));
    let new = |path: &str| after.of(path) - before.of(path);
    let money = |books: &str| new(&format!("{books}/charged_cents")) - new(&format!("{books}/refunded_cents"));
    let fees = new("/ticketing/fee_cents");
    let held = |place: &str| ["seat", "room", "car"].map(|stock| new(&format!("{place}/{stock}"))).iter().sum::<i64>();
    let services = |what: &str| ["flight", "hotel", "car"].map(|it| new(&format!("/{it}/{what}"))).iter().sum::<i64>();
    let check = |what: &str, expected: i64, found: i64| Check { what: what.to_owned(), expected, found };
    vec![
        check("trips that ended as they must", all, sum(&|trip| trip.is_as_expected().into())),
        check("trips with exactly one outcome", all, new("/trip/confirmed") + new("/trip/cancelled")),
        check("seats booked at the provider", seats, new("/provider/booked/seat")),
        check("rooms booked at the provider", rooms, new("/provider/booked/room")),
        check("cars booked at the provider", cars, new("/provider/booked/car")),
        check("seats, rooms and cars still held at the provider", 0, held("/provider/held")),
        check("seats, rooms and cars booked, say the services", seats + rooms + cars, services("booked")),
        check("seats, rooms and cars still held, say the services", 0, services("held")),
        check("fees, say provider and ticketing", new("/provider/fee_cents"), fees),
        check("money at the provider: charged − refunded − fees", revenue, money("/provider") - fees),
        check("money in ticketing: charged − refunded − fees", revenue, money("/ticketing") - fees),
        check("itineraries", rooms, new("/itinerary/itineraries")),
        check("apologies", all - rooms, new("/itinerary/apologies")),
        check("questions left open", 0, after.of("/questions")),
        check("timers left in the trip service", 0, after.of("/trip/timers")),
        check("timers left in the hotel service", 0, after.of("/hotel/timers")),
        check("events left in an outbox", 0, SERVICES.iter().map(|it| after.of(&format!("/{it}/unsent"))).sum()),
    ]
}

/// How many events wait in a service's outbox, as its metrics say. One that has just started may not have counted yet.
async fn unsent(company: &Company, service: &str) -> Result<i64> {
    let wanted = format!("pavane_outbox_unsent{{service=\"{service}\"}} ");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = company.send(Method::GET, service, "/metrics", None).await?.error_for_status()?;
        if let Some(value) = metrics.text().await?.lines().find_map(|line| line.strip_prefix(&wanted)) {
            return value.parse().context("not a number");
        }
        anyhow::ensure!(Instant::now() < deadline, "{service} does not say how many events wait in its outbox");
        sleep(Duration::from_millis(100)).await;
    }
}
