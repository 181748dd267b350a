//! Looks on while a shop is open, and audits its books when it has closed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, bail};
use psp::wire::Balances;
use sqlx::PgPool;
use tokio::time::{Instant, sleep};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{shop, store};

/// How often it looks at the locks. Each look costs the server a fraction of a millisecond.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long the books may take to balance after the last order: what follows a confirmation is still on its way.
const PATIENCE: Duration = Duration::from_secs(90);

/// Somebody with a key to every database.
#[derive(Debug)]
pub(super) struct Auditor {
    postgres: PgPool,
    order: PgPool,
    payment: PgPool,
    inventory: PgPool,
    shipping: PgPool,
    psp_url: String,
    /// All the pieces that there are.
    stocked: i64,
}

impl Auditor {
    pub(super) async fn new(urls: &str, postgres: &str, psp_url: String) -> Result<Self> {
        let connect = async |service: &str| shop::connect(&format!("{urls}{service}")).await;
        Ok(Self {
            postgres: shop::connect(postgres).await?,
            order: connect("order").await?,
            payment: connect("payment").await?,
            inventory: connect("inventory").await?,
            shipping: connect("shipping").await?,
            psp_url,
            stocked: 0,
        })
    }

    pub(super) async fn fill_shelves(&mut self, skus: &[String], on_hand: i64) -> Result<()> {
        store::fill_shelves(&self.inventory, skus, on_hand).await?;
        self.stocked += i64::try_from(skus.len())? * on_hand;
        Ok(())
    }

    /// How many prepared transactions wait for a decision.
    pub(super) async fn in_doubt(&self) -> Result<i64> {
        Ok(store::in_doubt(&self.postgres).await?)
    }

    /// How many prepared transactions and locked stock rows stay as they are for longer than any order takes: the fewest of
    /// several looks, as what still works prepares and locks too.
    pub(super) async fn stuck(&self) -> Result<Stuck> {
        let mut least = Stuck { in_doubt: i64::MAX, stock_rows: i64::MAX };
        for _ in 0..10 {
            least.in_doubt = least.in_doubt.min(self.in_doubt().await?);
            least.stock_rows = least.stock_rows.min(store::locked_stock_rows(&self.inventory).await?);
            sleep(Duration::from_millis(100)).await;
        }
        Ok(least)
    }

    /// Waits until the books balance.
    ///
    /// # Errors
    ///
    /// When they don't in time; says what is wrong. `confirmed` is how many orders customers know to be.
    pub(super) async fn audit(&self, confirmed: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wrong = self.wrong(i64::try_from(confirmed)?).await?;
            if wrong.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the books don't balance: {}", wrong.join("; "));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Everything that doesn't balance, in words.
    async fn wrong(&self, confirmed: i64) -> Result<Vec<String>> {
        let books = store::books(&self.order, &self.payment, &self.inventory, &self.shipping).await?;
        let balances: Balances = reqwest::get(format!("{}/v1/balance", self.psp_url)).await?.json().await?;
        let sum = |of: fn(&psp::wire::Balance) -> i64| balances.currencies.iter().map(of).sum::<i64>();
        let checks = [
            ("orders confirmed, of those that customers know of", confirmed, books.confirmed),
            ("money at the provider", books.revenue, sum(|line| line.captured - line.refunded)),
            ("money in the payment service", books.revenue, books.captured),
            ("authorisations open at the provider", 0, sum(|line| line.open_authorizations)),
            ("authorisations open in the payment service", 0, books.authorized_open),
            ("pieces shipped, one an order", books.confirmed, books.shipped),
            ("parcels dispatched", books.confirmed, books.dispatched),
            ("pieces in the warehouse and beyond", self.stocked, books.on_hand + books.shipped),
            ("pieces still reserved", 0, books.reserved),
            ("transactions in doubt", 0, self.in_doubt().await?),
        ];
        let wrong = checks.iter().filter(|(_, expected, found)| expected != found);
        Ok(wrong.map(|(what, expected, found)| format!("{what}: {found}, not {expected}")).collect())
    }
}

/// What waits for a process that is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stuck {
    /// Prepared transactions that nobody decides about.
    pub(super) in_doubt: i64,
    /// Stock rows that are locked.
    pub(super) stock_rows: i64,
}

/// How long the stock row of an order was locked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    /// All the time that any transaction held a lock on a stock row, added up.
    pub(super) total: Duration,
    /// The longest that one transaction was seen to hold one; short ones are not seen at all.
    pub(super) longest: Duration,
}

/// Watches the locks on the stock until it is told to stop.
#[derive(Debug)]
pub(super) struct LockWatch {
    stop: CancellationToken,
    watching: AbortOnDropHandle<Result<Held>>,
}

impl LockWatch {
    pub(super) fn start(auditor: Arc<Auditor>) -> Self {
        let stop = CancellationToken::new();
        let until = stop.clone();
        let watching = AbortOnDropHandle::new(tokio::spawn(async move { watch(&auditor, &until).await }));
        Self { stop, watching }
    }

    pub(super) async fn stop(self) -> Result<Held> {
        self.stop.cancel();
        self.watching.await?
    }
}

/// Adds up, from look to look, how many transactions hold a lock: an unbiased estimate of the total, whatever they last.
async fn watch(auditor: &Auditor, until: &CancellationToken) -> Result<Held> {
    let mut held = Held::default();
    let mut since: HashMap<String, Instant> = HashMap::new();
    let mut last = Instant::now();
    while !until.is_cancelled() {
        let lockers: HashSet<String> = store::stock_lockers(&auditor.inventory).await?;
        let now = Instant::now();
        held.total += (now - last) * u32::try_from(lockers.len())?;
        last = now;
        since.retain(|xid, _| lockers.contains(xid));
        for xid in lockers {
            let first = *since.entry(xid).or_insert(now);
            held.longest = held.longest.max(now - first);
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(held)
}
