//! Customers by the dozen: as many as there are without a pause (closed loop), or at a rate whatever happens (open loop).

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    front::{Front, Outcome},
    order::Order,
};
use crate::harness::percentile;

/// What is ordered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    /// Orders go round these products.
    pub(super) products: usize,
    pub(super) card: &'static str,
}

/// What became of one order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// When it was, or should have been, placed; since the start of the load.
    pub(super) at: Duration,
    /// How long its customer waited for its end.
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
}

impl Placed {
    /// When its customer knew its end; since the start of the load.
    pub(super) fn ended(&self) -> Duration {
        self.at + self.took
    }
}

/// What came of customers without a pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closed {
    /// Confirmed in each second of the window.
    pub(super) rate: f64,
    /// All that were confirmed, before and after the window too.
    pub(super) confirmed: usize,
}

/// Lets `customers` order one thing after another, for a fifth of `window` to warm up and then for `window`, which counts.
///
/// # Errors
///
/// When an order doesn't end, or isn't confirmed.
pub(super) async fn closed(front: &Arc<Front>, customers: usize, window: Duration, demand: Demand) -> Result<Closed> {
    let from = Instant::now() + window / 5;
    let until = from + window;
    let mut running = JoinSet::new();
    for customer in 0..customers {
        let front = Arc::clone(front);
        running.spawn(async move {
            let (mut in_window, mut confirmed) = (0, 0);
            let mut product = customer;
            while Instant::now() < until {
                let outcome = front.place(&Order::of(product % demand.products, demand.card)).await?;
                ensure!(outcome == Outcome::Confirmed, "an order ended as {outcome:?}");
                product += customers;
                confirmed += 1;
                let ended = Instant::now();
                in_window += usize::from(ended >= from && ended < until);
            }
            anyhow::Ok((in_window, confirmed))
        });
    }
    let (mut in_window, mut confirmed) = (0, 0);
    while let Some(customer) = running.join_next().await {
        let (counted, all) = customer??;
        in_window += counted;
        confirmed += all;
    }
    ensure!(confirmed >= customers, "{customers} customers placed {confirmed} orders");
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^52 orders")]
    let rate = in_window as f64 / window.as_secs_f64();
    Ok(Closed { rate, confirmed })
}

/// Places orders at a steady `rate` for `duration`, whatever becomes of them, and waits for their ends.
///
/// The time of an order counts from when it was due, so that a shop that is slow to take orders gains nothing by it.
///
/// # Errors
///
/// When an order doesn't end.
pub(super) async fn open(front: &Arc<Front>, rate: f64, duration: Duration, demand: Demand) -> Result<Vec<Placed>> {
    let started = Instant::now();
    let mut running = JoinSet::new();
    let mut number = 0;
    loop {
        let at = Duration::from_secs_f64(f64::from(number) / rate);
        if at >= duration {
            break;
        }
        sleep_until(started + at).await;
        let front = Arc::clone(front);
        let product = usize::try_from(number)? % demand.products;
        running.spawn(async move {
            let outcome = front.place(&Order::of(product, demand.card)).await?;
            anyhow::Ok(Placed { at, took: started.elapsed().saturating_sub(at), outcome })
        });
        number += 1;
    }
    let mut placed = Vec::with_capacity(running.len());
    while let Some(order) = running.join_next().await {
        placed.push(order??);
    }
    placed.sort_by_key(|order| order.at);
    Ok(placed)
}

/// How many were confirmed.
pub(super) fn confirmed(placed: &[Placed]) -> usize {
    placed.iter().filter(|order| order.outcome == Outcome::Confirmed).count()
}

/// Milliseconds that `percent` of these orders didn't exceed.
pub(super) fn millis<'a>(placed: impl IntoIterator<Item = &'a Placed>, percent: f64) -> f64 {
    let mut took: Vec<_> = placed.into_iter().map(|order| order.took.as_secs_f64() * 1e3).collect();
    percentile(&mut took, percent)
}
