use std::time::Duration;

use anyhow::Result;
use pavane::SagaId;
use pavane_contract::RawEnvelope;
use pavane_testkit::{FreshDatabase, Instances, until};
use payment::{Payment, PspClient, Settings, service};
use psp::Faults;

use crate::provider::{INSTANT, Provider};

/// Longer than the provider takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The payment service, and its provider.
pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) payment: Instances<Payment>,
}

impl World {
    pub(crate) async fn start(faults: Faults) -> Result<Self> {
        Self::start_with(faults, PATIENCE).await
    }

    /// A service that waits so long for the provider's answers.
    pub(crate) async fn start_with(faults: Faults, psp_timeout: Duration) -> Result<Self> {
        let provider = Provider::start(faults).await?;
        let url = provider.url();
        Self::assemble(provider, &url, psp_timeout, FreshDatabase::sqlite()).await
    }

    pub(crate) async fn start_on(database: FreshDatabase) -> Result<Self> {
        let provider = Provider::start(INSTANT).await?;
        let url = provider.url();
        Self::assemble(provider, &url, PATIENCE, database).await
    }

    /// A service that looks for the provider elsewhere.
    pub(crate) async fn start_apart(provider: Provider, psp_url: &str) -> Result<Self> {
        Self::assemble(provider, psp_url, PATIENCE, FreshDatabase::sqlite()).await
    }

    async fn assemble(
        provider: Provider,
        psp_url: &str,
        psp_timeout: Duration,
        database: FreshDatabase,
    ) -> Result<Self> {
        let mut settings = Settings::default();
        (settings.psp_url, settings.psp_timeout) = (psp_url.to_owned(), psp_timeout);
        let client = PspClient::new(&settings)?;
        let payment = Instances::one(&database, move || service(Payment::new(client.clone()))).await;
        Ok(Self { provider, payment })
    }

    /// Publishes events at once.
    pub(crate) fn publish(&self, events: impl IntoIterator<Item = RawEnvelope>) {
        self.payment.deliver_all(&events.into_iter().collect::<Vec<_>>());
    }

    /// Publishes events at once, and waits until the service has done all that follows from them.
    pub(crate) async fn handle(&self, events: impl IntoIterator<Item = RawEnvelope>) {
        self.publish(events);
        self.payment.settle().await;
    }

    /// What the service said in a saga, in order.
    pub(crate) fn said(&self, saga: SagaId) -> Vec<String> {
        let names = self.payment.emitted_names(saga).into_iter();
        names.filter_map(|name| name.strip_prefix("payment.").map(str::to_owned)).collect()
    }

    /// How many attempts were counted against events.
    pub(crate) async fn attempts(&self) -> i64 {
        self.payment.count("select cast(coalesce(sum(attempts), 0) as bigint) from pavane_attempt").await
    }

    /// Lets a day pass since each call was made: the provider knows no key of before.
    pub(crate) async fn a_day_later(&self) -> Result<()> {
        const DAY: i64 = 24 * 60 * 60 * 1_000_000;
        for sql in [
            "update pavane_ledger set changed_at = changed_at - $1",
            "update pavane_call set first_called_at = first_called_at - $1",
        ] {
            sqlx::query(sql).bind(DAY).execute(self.payment.db().writers()).await?;
        }
        Ok(())
    }

    pub(crate) fn dead_letters(&self) -> usize {
        self.payment.dead_letters().len()
    }

    pub(crate) async fn until_an_undo_waits(&self) {
        until("an undo that waits", async || {
            (self.payment.count("select count(*) from pavane_waiting").await > 0).then_some(())
        })
        .await;
    }

    /// Waits until an event is delivered but not settled yet.
    pub(crate) async fn until_busy(&self, reaction: &str) {
        until("the reaction at work", async || (self.payment.pending(reaction).unsettled > 0).then_some(())).await;
    }

    pub(crate) async fn stop(mut self) {
        self.payment.stop().await;
    }
}
