//! Two-phase commit: the order service coordinates PostgreSQL's prepared transactions in the other services' databases.
//!
//! What is done in its favour: the coordinator speaks to the databases itself, without services in between; the branches are
//! prepared, and committed, side by side; the decision and the order's own row are one local commit (last agent); only the
//! prepares and that commit wait for the disk (presumed abort); the provider captures while the second phase runs.
//!
//! The provider can't prepare. Its authorisation is its vote and its capture is its commit, and both may take a while. So
//! there are two variants: [`Locks::BeforeProvider`] asks it for money once the goods are certain, inside the transaction;
//! [`Locks::AfterProvider`] asks it first, and must take the authorisation back when there are no goods, which is a
//! compensation.

mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use tokio::join;

use self::store::Branch;
use super::{
    databases::Databases,
    door::{Coordinate, CrashPoint, Ending},
    order::Order,
    provider::Provider,
};

/// When the stock row is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locks {
    /// The goods are certain before the customer's money is asked for; the row stays locked meanwhile.
    BeforeProvider,
    /// The provider is asked first, outside any transaction.
    AfterProvider,
}

/// A participant's vote: its prepared branch, or `None` for a no.
type Vote = Result<Option<Branch>, sqlx::Error>;

/// Everybody has voted yes.
#[derive(Debug)]
struct Votes {
    /// What the provider calls the payment.
    intent_id: String,
    branches: [Branch; 3],
}

/// The participants, as their branches are named.
const PARTICIPANTS: [&str; 3] = ["payment", "inventory", "shipping"];

/// A coordinator. There may be several; each finishes what it began itself.
#[derive(Debug)]
pub(crate) struct Coordinator {
    id: String,
    locks: Locks,
    databases: Databases,
    provider: Provider,
    crash_point: CrashPoint,
}

impl Coordinator {
    /// Opens the log and finishes what an earlier life of this coordinator left behind.
    ///
    /// # Errors
    ///
    /// When a database or the provider fails.
    pub(crate) async fn open(id: &str, locks: Locks, databases: Databases, provider: Provider) -> Result<Self> {
        store::create_log(&databases.order).await?;
        let coordinator = Self { id: id.to_owned(), locks, databases, provider, crash_point: CrashPoint::default() };
        coordinator.recover().await.context("the recovery failed")?;
        Ok(coordinator)
    }

    /// Commits the branches of what was decided, aborts the others, and sees that the provider does likewise.
    async fn recover(&self) -> Result<()> {
        let unfinished = store::unfinished(&self.databases.order, &self.id).await?;
        let unfinished: HashMap<_, _> = unfinished.into_iter().collect();
        for participant in PARTICIPANTS {
            for gid in store::in_doubt(self.database(participant), &self.id).await? {
                let order_id = gid.split(':').nth(1).unwrap_or_default();
                let commit = unfinished.get(order_id).is_some_and(Option::is_some);
                store::finish(self.database(participant), &gid, commit).await?;
            }
        }
        for (order_id, decided) in &unfinished {
            match decided {
                Some(intent_id) => self.provider.capture(order_id, intent_id).await?,
                None => self.give_back(order_id).await?,
            }
            store::end(&self.databases.order, order_id).await?;
        }
        Ok(())
    }

    /// The first phase; `None` when somebody says no.
    async fn vote(&self, order: &Order) -> Result<Option<Votes>> {
        let mut held = None;
        if self.locks == Locks::BeforeProvider {
            held = self.take_stock(order).await?;
            if held.is_none() {
                return Ok(None);
            }
        }
        let Some(intent_id) = self.provider.authorize(order).await? else { return Ok(None) };
        let stock = async {
            let branch = match held {
                Some(branch) => Some(branch),
                None => self.take_stock(order).await?,
            };
            let Some(branch) = branch else { return Ok(None) };
            branch.prepare().await.map(Some)
        };
        let payment = async {
            let mut branch = self.branch("payment", order).await?;
            store::pay(branch.conn(), order, &intent_id).await?;
            branch.prepare().await.map(Some)
        };
        let shipping = async {
            let mut branch = self.branch("shipping", order).await?;
            store::ship(branch.conn(), order).await?;
            branch.prepare().await.map(Some)
        };
        // Not `try_join`: every vote must be known before anything is aborted.
        let votes: (Vote, Vote, Vote) = join!(stock, payment, shipping);
        match votes {
            (Ok(Some(stock)), Ok(Some(payment)), Ok(Some(shipping))) => {
                Ok(Some(Votes { intent_id, branches: [stock, payment, shipping] }))
            }
            (stock, payment, shipping) => {
                let mut failure = Ok(None);
                for vote in [stock, payment, shipping] {
                    match vote {
                        Ok(Some(branch)) => branch.finish(false).await?,
                        Ok(None) => {}
                        Err(error) => failure = Err(error.into()),
                    }
                }
                failure
            }
        }
    }

    async fn take_stock(&self, order: &Order) -> Result<Option<Branch>, sqlx::Error> {
        let mut branch = self.branch("inventory", order).await?;
        Ok(store::take_stock(branch.conn(), order).await?.then_some(branch))
    }

    /// The second phase after a decision to commit.
    async fn commit(&self, order: &Order, votes: Votes) -> Result<()> {
        let [stock, payment, shipping] = votes.branches.map(|branch| branch.finish(true));
        let captured = self.provider.capture(&order.id, &votes.intent_id);
        let (stock, payment, shipping, captured) = join!(stock, payment, shipping, captured);
        stock?;
        payment?;
        shipping?;
        captured
    }

    /// Gives an authorisation back that turned out to be for nothing.
    async fn give_back(&self, order_id: &str) -> Result<()> {
        for intent_id in self.provider.open_intents(order_id).await? {
            self.provider.cancel(order_id, &intent_id).await?;
        }
        Ok(())
    }

    async fn branch(&self, participant: &str, order: &Order) -> Result<Branch, sqlx::Error> {
        Branch::begin(self.database(participant), self.gid(participant, &order.id)).await
    }

    fn gid(&self, participant: &str, order_id: &str) -> String {
        format!("{}:{order_id}:{participant}", self.id)
    }

    fn database(&self, participant: &str) -> &sqlx::PgPool {
        match participant {
            "payment" => &self.databases.payment,
            "inventory" => &self.databases.inventory,
            _ => &self.databases.shipping,
        }
    }
}

impl Coordinate for Coordinator {
    async fn place(&self, order: Order) -> Result<Ending> {
        store::begin(&self.databases.order_unforced, &self.id, &order).await?;
        let ending = match self.vote(&order).await {
            Ok(Some(votes)) => {
                self.crash_point.reach();
                // Should this fail, nobody knows what was decided: then it is recovery's business.
                store::decide(&self.databases.order, &order, &votes.intent_id).await?;
                self.commit(&order, votes).await?;
                Ok(Ending::Confirmed)
            }
            Ok(None) => self.give_back(&order.id).await.map(|()| Ending::Cancelled),
            Err(error) => self.give_back(&order.id).await.and(Err(error)),
        };
        let unforced = self.databases.order_unforced.clone();
        tokio::spawn(async move { store::end(&unforced, &order.id).await });
        ending
    }

    async fn ending(&self, order_id: &str) -> Result<Option<Ending>> {
        let Some(confirmed) = store::ending(&self.databases.order, order_id).await? else { return Ok(None) };
        Ok(Some(if confirmed { Ending::Confirmed } else { Ending::Cancelled }))
    }

    fn crash_point(&self) -> &CrashPoint {
        &self.crash_point
    }
}
