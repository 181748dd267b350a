//! The comparison: what is measured, how long, and in which order.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    audit::LockWatch,
    kill::{self, Killed, Script},
    load::{self, Demand},
    order::{FAST_CARD, SLOW_CARD},
    shop::{COORDINATOR, Server, Setup, Shop, Way},
};
use crate::{
    harness::{Sample, percentile},
    report::{Reach, Row},
    say,
    stage::Stage,
};

/// How much of everything.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Customers of the closed loop: the best of these counts, for everybody his own best.
    pub(super) customers: &'static [usize],
    /// How often the closed loop and the hot row are measured; the median counts.
    pub(super) runs: usize,
    /// How long each run of the closed loop and of the hot row counts.
    pub(super) window: Duration,
    /// How long orders come at a steady rate.
    pub(super) steady: Duration,
    /// Customers who all want the same product.
    pub(super) crowd: usize,
    /// How long the provider takes to authorise on the hot row.
    pub(super) slow: Duration,
    pub(super) products: usize,
    pub(super) script: Script,
    /// Which process is killed, and where.
    pub(super) victims: &'static [(Way, &'static str)],
}

/// The coordinators first.
const VICTIMS: [(Way, &str); 6] = [
    (Way::TwoPhaseLate, COORDINATOR),
    (Way::Orchestrated, COORDINATOR),
    (Way::Pavane, "order"),
    (Way::Pavane, payment::NAME),
    (Way::Pavane, inventory::NAME),
    (Way::Pavane, shipping::NAME),
];

impl Plan {
    fn of(stage: &Stage) -> Self {
        let seconds = |full: u64, smoke: u64| Duration::from_millis(if stage.smoke { smoke } else { full * 1000 });
        Self {
            customers: if stage.smoke { &[4] } else { &[16, 64, 256] },
            runs: stage.runs.min(3),
            window: seconds(8, 300),
            steady: seconds(20, 300),
            crowd: stage.size(64, 4),
            slow: Duration::from_millis(if stage.smoke { 50 } else { 300 }),
            products: stage.size(100, 10),
            script: Script {
                rate: if stage.smoke { 20.0 } else { 40.0 },
                products: 10,
                before: seconds(8, 300),
                outage: seconds(10, 1_600),
                after: seconds(12, 300),
                lock_timeout: seconds(2, 300),
            },
            // A smoke test has no time for the broker to notice that a consumer is gone; the shop's own tests have.
            victims: if stage.smoke { &VICTIMS[..2] } else { &VICTIMS },
        }
    }
}

/// The same measurement, taken several times.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs(Vec<f64>);

impl Runs {
    pub(super) fn median(&self) -> f64 {
        percentile(&mut self.0.clone(), 50.0)
    }
}

/// What one way did.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) way: Way,
    /// The closed loop, by number of customers: orders a second.
    pub(super) closed: Vec<(usize, Runs)>,
    /// At the common rate.
    pub(super) steady: Steady,
    /// One product, a slow provider.
    pub(super) hot: Hot,
}

impl Measured {
    /// The number of customers with whom it did most, and how much that was.
    pub(super) fn best(&self) -> &(usize, Runs) {
        let mut best = &self.closed[0];
        for tried in &self.closed {
            if tried.1.median() > best.1.median() {
                best = tried;
            }
        }
        best
    }
}

/// What came of a steady rate; all in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Steady {
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// How long an order had its stock row locked, on average.
    pub(super) held: f64,
    /// The longest that a transaction was seen to have a stock row locked.
    pub(super) longest: f64,
}

/// What came of many customers who want the same product.
#[derive(Debug, Clone, Default)]
pub(super) struct Hot {
    pub(super) rate: Runs,
    /// Milliseconds for which an order had the stock row locked, on average.
    pub(super) held: Runs,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Results {
    /// Orders a second, of the steady rate.
    pub(super) rate: f64,
    pub(super) ways: Vec<Measured>,
    pub(super) kills: Vec<Killed>,
}

impl Results {
    pub(super) fn of(&self, way: Way) -> Result<&Measured> {
        self.ways.iter().find(|measured| measured.way == way).context("a way was not measured")
    }

    /// The lines for the common table.
    pub(super) fn rows(&self) -> Result<Vec<Row>> {
        let pavane = self.of(Way::Pavane)?;
        let mut rows = Vec::new();
        for other in self.ways.iter().filter(|other| other.way != Way::Pavane) {
            let row = |work: &str, pavane: &Runs, theirs: &Runs| {
                let work = format!("{work}; anchor: {}", other.way.title());
                let pair = (Sample::new(pavane.0.clone()), Sample::new(theirs.0.clone()));
                Row::new(super::NAME, &work, "orders/s", pair, Reach::Stated)
            };
            rows.push(row("the shop, closed loop", &pavane.best().1, &other.best().1));
            rows.push(row("one hot product, slow provider", &pavane.hot.rate, &other.hot.rate));
        }
        Ok(rows)
    }
}

/// Measures everything.
///
/// # Errors
///
/// When a server can't be started, an order doesn't end as it must, or books don't balance.
pub(super) async fn run(stage: &Stage) -> Result<(Plan, Results)> {
    let plan = Plan::of(stage);
    let mut server = Server::start().await?;
    let mut ways = Vec::new();
    for way in Way::ALL {
        let closed = plan.customers.iter().map(|customers| (*customers, Runs::default())).collect();
        ways.push(Measured { way, closed, steady: Steady::default(), hot: Hot::default() });
    }
    for run in 1..=plan.runs {
        for measured in &mut ways {
            say(&format!("  run {run} of {}: {}", plan.runs, measured.way.title()));
            at_full_speed(&mut server, &plan, measured).await.with_context(|| measured.way.title())?;
        }
    }
    let slowest = ways.iter().map(|measured| measured.best().1.median()).fold(f64::INFINITY, f64::min);
    // Half of what the slowest can do: nobody queues, everybody is busy.
    let rate = (slowest / 2.0).floor().max(1.0);
    if !stage.smoke {
        for measured in &mut ways {
            say(&format!("  {}, {rate} orders a second", measured.way.title()));
            steady(&mut server, &plan, measured, rate).await.with_context(|| measured.way.title())?;
        }
    }
    let mut kills = Vec::new();
    for (way, victim) in plan.victims {
        say(&format!("  {}: kills {victim}", way.title()));
        let killed = kill::play(&mut server, *way, victim, plan.script).await;
        kills.push(killed.with_context(|| format!("{}, {victim} killed", way.title()))?);
    }
    let results = Results { rate, ways, kills };
    if stage.smoke {
        check(&results)?;
    }
    Ok((plan, results))
}

/// The closed loop with each number of customers, and then the hot row, in one shop.
async fn at_full_speed(server: &mut Server, plan: &Plan, measured: &mut Measured) -> Result<()> {
    let shop = Shop::open(server, measured.way, &plan.setup()).await?;
    let mut confirmed = 0;
    let demand = Demand { products: plan.products, card: FAST_CARD };
    for (customers, rates) in &mut measured.closed {
        let closed = load::closed(&shop.front, *customers, plan.window, demand).await?;
        rates.0.push(closed.rate);
        confirmed += closed.confirmed;
    }
    shop.auditor.audit(confirmed).await?;
    let watch = LockWatch::start(Arc::clone(&shop.auditor));
    let demand = Demand { products: 1, card: SLOW_CARD };
    let closed = load::closed(&shop.front, plan.crowd, plan.window, demand).await?;
    shop.auditor.audit(confirmed + closed.confirmed).await?;
    let held = watch.stop().await?;
    measured.hot.rate.0.push(closed.rate);
    measured.hot.held.0.push(millis(held.total) / count(closed.confirmed));
    Ok(())
}

async fn steady(server: &mut Server, plan: &Plan, measured: &mut Measured, rate: f64) -> Result<()> {
    let shop = Shop::open(server, measured.way, &plan.setup()).await?;
    let demand = Demand { products: plan.products, card: FAST_CARD };
    // Connections, statements and caches: nobody's first orders count.
    let warm = load::open(&shop.front, rate, plan.steady / 5, demand).await?;
    let watch = LockWatch::start(Arc::clone(&shop.auditor));
    let placed = load::open(&shop.front, rate, plan.steady, demand).await?;
    shop.auditor.audit(load::confirmed(&placed) + load::confirmed(&warm)).await?;
    let held = watch.stop().await?;
    ensure!(load::confirmed(&placed) == placed.len(), "not every order was confirmed");
    measured.steady = Steady {
        p50: load::millis(&placed, 50.0),
        p99: load::millis(&placed, 99.0),
        held: millis(held.total) / count(placed.len()),
        longest: millis(held.longest),
    };
    Ok(())
}

/// What a smoke test can say of the kills. That every order was confirmed, and that the books balance, was seen already.
fn check(results: &Results) -> Result<()> {
    for killed in &results.kills {
        let two_phase = killed.way == Way::TwoPhaseLate;
        let title = killed.way.title();
        ensure!(killed.touched().count() > 0, "{title}: no order was under way when the coordinator died");
        let stuck = killed.stuck;
        ensure!((stuck.in_doubt > 0) == two_phase, "{title}: {} transactions in doubt", stuck.in_doubt);
        ensure!((stuck.stock_rows > 0) == two_phase, "{title}: {} stock rows locked", stuck.stock_rows);
    }
    Ok(())
}

impl Plan {
    fn setup(&self) -> Setup {
        Setup { products: self.products, slow: self.slow, lock_timeout: Duration::ZERO, twice: None }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^52 orders")]
fn count(orders: usize) -> f64 {
    orders as f64
}
