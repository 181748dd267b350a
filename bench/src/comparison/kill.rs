//! Kills a process of a shop that is busy, starts it again a while later, and looks at what became of the orders.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use super::{
    audit::Stuck,
    front::Outcome,
    load::{self, Demand, Placed},
    order::FAST_CARD,
    shop::{COORDINATOR, Server, Setup, Shop, Way},
};

/// What happens when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Script {
    /// Orders a second.
    pub(super) rate: f64,
    pub(super) products: usize,
    /// From the first order to the kill.
    pub(super) before: Duration,
    /// From the kill to the restart.
    pub(super) outage: Duration,
    /// From the restart to the last order.
    pub(super) after: Duration,
    /// How long two-phase commit waits for a row.
    pub(super) lock_timeout: Duration,
}

/// What became of a shop of which a process was killed.
#[derive(Debug)]
pub(super) struct Killed {
    pub(super) way: Way,
    pub(super) victim: &'static str,
    /// During the outage.
    pub(super) stuck: Stuck,
    /// When the process died, since the first order.
    pub(super) died: Duration,
    /// From the restart until the process was ready, its recovery included.
    pub(super) ready_after: Duration,
    pub(super) orders: Vec<Placed>,
}

impl Killed {
    /// The orders that were under way when the process died.
    pub(super) fn touched(&self) -> impl Iterator<Item = &Placed> {
        self.orders.iter().filter(|order| order.at < self.died && order.ended() >= self.died)
    }

    /// The orders placed while the process was dead.
    pub(super) fn others(&self, script: &Script) -> impl Iterator<Item = &Placed> {
        let back = self.died + script.outage;
        self.orders.iter().filter(move |order| order.at >= self.died && order.at < back)
    }

    /// From the kill to the end of the last order that it touched.
    pub(super) fn last_touched(&self) -> Duration {
        self.touched().map(Placed::ended).max().map_or(Duration::ZERO, |ended| ended.saturating_sub(self.died))
    }
}

/// Plays the script. The victim runs twice, as whatever must not stop does: one of the two is killed.
///
/// # Errors
///
/// When an order doesn't end, or the books don't balance afterwards.
pub(super) async fn play(server: &mut Server, way: Way, victim: &'static str, script: Script) -> Result<Killed> {
    let Script { rate, products, before, outage, after, lock_timeout } = script;
    let setup = Setup { products, slow: Duration::ZERO, lock_timeout, twice: Some(victim) };
    let mut shop = Shop::open(server, way, &setup).await?;
    let front = shop.front.clone();
    let demand = Demand { products, card: FAST_CARD };
    let started = Instant::now();
    let customers = tokio::spawn(async move { load::open(&front, rate, before + outage + after, demand).await });
    sleep(before).await;
    if victim == COORDINATOR {
        shop.front.crash_first().await?;
    }
    // Also a process that has killed itself, which so is known to be dead.
    shop.process(victim)?.kill().await?;
    let died = started.elapsed();
    sleep(outage / 4).await;
    let stuck = shop.auditor.stuck().await?;
    sleep((died + outage).saturating_sub(started.elapsed())).await;
    let restarted = Instant::now();
    shop.process(victim)?.restart().await?;
    let ready_after = restarted.elapsed();
    let orders = customers.await??;
    shop.auditor.audit(load::confirmed(&orders)).await?;
    let killed = Killed { way, victim, stuck, died, ready_after, orders };
    ensure!(killed.orders.iter().any(|order| order.outcome == Outcome::Confirmed), "nothing was confirmed");
    Ok(killed)
}
