//! `saga`: the shop's whole saga, beside the sum of its local commits.

use std::sync::Arc;

use anyhow::Result;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};

use super::durable::Anchor;
use crate::{
    harness::{Sample, percentile},
    load::{self, Broker},
    report::{Reach, Row},
    shop::{Databases, Shop},
    stage::Stage,
};

/// The local transactions of a saga that is confirmed, if each handled one event: what a service commits.
const COMMITS: [(&str, &str); 15] = [
    ("order", "the order is placed"),
    ("payment", "the authorization is entered as running"),
    ("payment", "the authorization is recorded"),
    ("order", "the order is seen to be authorized"),
    ("inventory", "the stock is reserved"),
    ("order", "the order is seen to be reserved"),
    ("shipping", "the shipment is created"),
    ("order", "the order is seen to be shipped"),
    ("payment", "the capture is entered as running"),
    ("payment", "the capture is recorded"),
    ("order", "the order is confirmed"),
    ("inventory", "the stock is shipped"),
    ("shipping", "the shipment is dispatched"),
    ("notification", "the mail is entered as running"),
    ("notification", "the mail is recorded"),
];

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let sagas = stage.size(2_000, 40);
    let anchor = Anchor::prepare(stage).await?;
    let mut rows = Vec::new();
    for (databases, label) in [(Databases::Postgres, ""), (Databases::Sqlite, " (sqlite)")] {
        let broker = Broker::start(stage).await?;
        let shop = Arc::new(Shop::start(stage, &broker, databases, 1).await?);
        let customers = best(&shop, stage).await?;
        let mut runs = Runs::default();
        for _ in 0..stage.runs {
            let loop_ = closed(&shop, sagas, customers).await?;
            let rate = loop_.rate;
            runs.closed.push(loop_);
            runs.allowed.push(anchor.rate().await? / load::float(COMMITS.len()));
            runs.open.push(open(&shop, sagas / 2, rate / 2.0).await?);
        }
        rows.extend(runs.rows(label, sagas, customers));
        if let Ok(shop) = Arc::try_unwrap(shop) {
            shop.stop().await?;
        }
    }
    Ok(rows)
}

/// The number of customers at which the shop is fastest, as pgbench has its best number of clients.
async fn best(shop: &Arc<Shop>, stage: &Stage) -> Result<usize> {
    let candidates: &[usize] = if stage.smoke { &[8] } else { &[64, 128, 256] };
    let (mut best, mut customers) = (0.0, 1);
    for &candidate in candidates {
        let rate = closed(shop, 4 * candidate, candidate).await?.rate;
        if rate > best {
            (best, customers) = (rate, candidate);
        }
    }
    Ok(customers)
}

/// What one run measured.
#[derive(Debug)]
pub(super) struct Measured {
    /// Sagas in a second.
    rate: f64,
    /// Median milliseconds from the request to the confirmation.
    pub(super) p50: f64,
    /// 99th percentile of the same.
    pub(super) p99: f64,
}

#[derive(Debug, Default)]
struct Runs {
    closed: Vec<Measured>,
    open: Vec<Measured>,
    allowed: Vec<f64>,
}

impl Runs {
    fn rows(self, label: &str, sagas: usize, customers: usize) -> Vec<Row> {
        let sample = |runs: &[Measured], of: fn(&Measured) -> f64| Sample::new(runs.iter().map(of).collect());
        let allowed = Sample::new(self.allowed);
        let work =
            format!("{sagas} sagas, {customers} customers; what {} commits at pgbench's rate allow", COMMITS.len());
        let rate = (sample(&self.closed, |run| run.rate), allowed);
        let reach = if label.is_empty() { Reach::AtLeast(0.6) } else { Reach::Stated };
        let settle = |percent: &str| format!("saga{label} {percent}");
        let text = "time to settle at 50 % of the maximum, open loop; the same in the closed loop";
        let p50 = (sample(&self.open, |run| run.p50), sample(&self.closed, |run| run.p50));
        let p99 = (sample(&self.open, |run| run.p99), sample(&self.closed, |run| run.p99));
        vec![
            Row::new(&format!("saga{label}"), &work, "sagas/s", rate, reach),
            Row::new(&settle("p50"), text, "ms", p50, Reach::Stated),
            Row::new(&settle("p99"), text, "ms", p99, Reach::Stated),
        ]
    }
}

/// Each customer orders again once the last order is confirmed.
async fn closed(shop: &Arc<Shop>, sagas: usize, customers: usize) -> Result<Measured> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for customer in 0..customers {
        let shop = Arc::clone(shop);
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            for number in (customer..sagas).step_by(customers) {
                let placed = Instant::now();
                latencies.push(milliseconds(shop.order(number).await? - placed));
            }
            anyhow::Ok(latencies)
        });
    }
    measured(tasks, started).await
}

/// Orders come at a fixed rate, whether earlier ones are confirmed or not; the time counts from when one was due.
pub(super) async fn open(shop: &Arc<Shop>, sagas: usize, rate: f64) -> Result<Measured> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..sagas {
        let due = started + Duration::from_secs_f64(load::float(number) / rate);
        sleep_until(due).await;
        let shop = Arc::clone(shop);
        tasks.spawn(async move { Ok(vec![milliseconds(shop.order(number).await? - due)]) });
    }
    measured(tasks, started).await
}

async fn measured(mut tasks: JoinSet<Result<Vec<f64>>>, started: Instant) -> Result<Measured> {
    let mut latencies = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        latencies.extend(ended??);
    }
    let rate = load::per_second(latencies.len(), started);
    let (p50, p99) = (percentile(&mut latencies, 50.0), percentile(&mut latencies, 99.0));
    Ok(Measured { rate, p50, p99 })
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
