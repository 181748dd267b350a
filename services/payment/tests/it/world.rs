use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use contracts::OrderId;
use pavane::{
    Config,
    any::{Db, Readiness},
    database::Config as DbConfig,
};
use pavane_bus::{
    Bus as _, Memory, Outgoing,
    topology::{DEAD_LETTERS, EVENTS},
};
use pavane_contract::SystemClock;
use payment::{NAME, Payment, PspClient, Settings, service};
use psp::Faults;
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::provider::{INSTANT, Provider};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const REACTIONS: [&str; 4] = ["authorize-payment", "capture-payment", "void-payment", "refund-payment"];

/// The payment service on SQLite and a bus in memory, and its provider.
pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) db: Db,
    bus: Memory,
    readiness: Readiness<Memory>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), pavane::Error>>,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn start(faults: Faults) -> Result<Self> {
        Self::start_with(faults, PATIENCE).await
    }

    /// A service that waits so long for the provider's answers.
    pub(crate) async fn start_with(faults: Faults, psp_timeout: Duration) -> Result<Self> {
        let provider = Provider::start(faults).await?;
        let url = provider.url();
        Self::assemble(provider, &url, psp_timeout, None).await
    }

    pub(crate) async fn start_on(database_url: String) -> Result<Self> {
        let provider = Provider::start(INSTANT).await?;
        let url = provider.url();
        Self::assemble(provider, &url, PATIENCE, Some(database_url)).await
    }

    /// A service that looks for the provider elsewhere.
    pub(crate) async fn start_apart(provider: Provider, psp_url: &str) -> Result<Self> {
        Self::assemble(provider, psp_url, PATIENCE, None).await
    }

    async fn assemble(
        provider: Provider,
        psp_url: &str,
        psp_timeout: Duration,
        database_url: Option<String>,
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        let sqlite = || format!("sqlite:{}", folder.path().join("payment.db").display());
        let url = database_url.unwrap_or_else(sqlite);
        let mut settings = Settings::default();
        (settings.psp_url, settings.psp_timeout) = (psp_url.to_owned(), psp_timeout);
        let bus = Memory::new(Arc::new(SystemClock));
        let db = Db::open(DbConfig::new(NAME, &url)).await?;
        let payment = Payment::new(PspClient::new(&settings)?);
        let app = service(payment).connect_to(db.clone(), bus.clone(), Config::new("nats://not-used")).await?;
        let (readiness, stop) = (app.readiness(), CancellationToken::new());
        let running = tokio::spawn(app.run_until(stop.clone().cancelled_owned()));
        Ok(Self { provider, db, bus, readiness, stop, running, _folder: folder })
    }

    pub(crate) async fn publish(&self, events: impl IntoIterator<Item = Outgoing>) -> Result<()> {
        for receipt in self.bus.publish(events.into_iter().collect()).await {
            assert!(!receipt?.duplicate, "the stream must not hide duplicates from the service");
        }
        Ok(())
    }

    /// Waits until every event is handled and every answer to it published.
    pub(crate) async fn idle(&self) -> Result<()> {
        eventually("everything handled", async || {
            let pending = REACTIONS.iter().filter_map(|name| self.bus.pending(&format!("{NAME}_{name}")));
            let busy = pending.map(|pending| pending.unsettled + pending.undelivered).sum::<usize>();
            let letters = pavane_inbox::dead_letter::waiting(&self.db).await?;
            Ok((busy == 0 && letters == 0 && self.waiting().await? == 0 && self.readiness.backlog().await?.unsent == 0)
                .then_some(()))
        })
        .await
    }

    /// Publishes events, and waits until the service is idle.
    pub(crate) async fn handle(&self, events: impl IntoIterator<Item = Outgoing>) -> Result<()> {
        self.publish(events).await?;
        self.idle().await
    }

    /// What the service said of an order, in order.
    pub(crate) fn said(&self, order: OrderId) -> Vec<String> {
        let token = format!(".{order}");
        let stored = self.bus.messages(EVENTS).into_iter();
        let subjects = stored.filter_map(|stored| stored.message.subject.strip_suffix(&token).map(str::to_owned));
        subjects.filter_map(|subject| subject.strip_prefix("events.payment.").map(str::to_owned)).collect()
    }

    /// How many attempts were counted against events.
    pub(crate) async fn attempts(&self) -> Result<i64> {
        let sql = "select coalesce(sum(attempts), 0) from pavane_attempt";
        Ok(sqlx::query(sql).fetch_one(self.db.readers()).await?.try_get(0)?)
    }

    /// Lets a day pass since each call was made: the provider knows no key of before.
    pub(crate) async fn a_day_later(&self) -> Result<()> {
        const DAY: i64 = 24 * 60 * 60 * 1_000_000;
        for sql in [
            "update pavane_ledger set changed_at = changed_at - $1",
            "update pavane_call set first_called_at = first_called_at - $1",
        ] {
            sqlx::query(sql).bind(DAY).execute(self.db.writers()).await?;
        }
        Ok(())
    }

    pub(crate) fn dead_letters(&self) -> usize {
        self.bus.messages(DEAD_LETTERS).len()
    }

    /// How many undos wait for their step.
    async fn waiting(&self) -> Result<i64> {
        Ok(sqlx::query("select count(*) from pavane_waiting").fetch_one(self.db.readers()).await?.try_get(0)?)
    }

    pub(crate) async fn until_an_undo_waits(&self) -> Result<()> {
        eventually("an undo that waits", async || Ok((self.waiting().await? > 0).then_some(()))).await
    }

    /// How an event is doing: delivered but not settled yet.
    pub(crate) async fn until_busy(&self, reaction: &str) -> Result<()> {
        let durable = format!("{NAME}_{reaction}");
        eventually("the reaction at work", async || {
            Ok(self.bus.pending(&durable).filter(|pending| pending.unsettled > 0).map(drop))
        })
        .await
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.running.await??)
    }
}

/// Looks again and again until there is something, or too much time has passed.
pub(crate) async fn eventually<T, F: Future<Output = Result<Option<T>>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {PATIENCE:?} in vain for {what}");
        }
        sleep(Duration::from_millis(5)).await;
    }
}
