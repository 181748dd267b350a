//! How far the process's clock differs from the reference: `PostgreSQL`'s, or on SQLite the broker's.

use std::sync::atomic::{AtomicI64, Ordering};

use pavane_contract::Timestamp;
use tracing::{info, warn};

use crate::{Database, Db, Dialect, Error, metric, store};

/// Clocks kept by NTP differ by far less.
const OFF_MAX: i64 = 60_000_000;

/// How far the process's clock is off, if that is known.
#[derive(Debug)]
pub(crate) struct Skew(AtomicI64);

impl Default for Skew {
    fn default() -> Self {
        Self(AtomicI64::new(Self::UNKNOWN))
    }
}

impl Skew {
    const UNKNOWN: i64 = i64::MIN;

    /// How many microseconds the other clock is ahead of ours.
    fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|skew| *skew != Self::UNKNOWN)
    }
}

impl<DB: Database> Db<DB> {
    /// Compares the process's clock with the reference: `PostgreSQL`'s own; on SQLite `broker`'s time, if it is known. The relay
    /// calls it now and then.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn compare_clock(&self, broker: Option<Timestamp>) -> Result<(), Error> {
        let before = self.now();
        let other = match (self.dialect(), broker) {
            (Dialect::Postgres, _) => self.within(async { store::now::<DB>(&mut *self.writer().await?).await }).await?,
            (Dialect::Sqlite, Some(broker)) => broker.as_microsecond(),
            (Dialect::Sqlite, None) => return Ok(()),
        };
        let after = self.now();
        let skew = other.saturating_sub(before.midpoint(after));
        let was_off = self.clock_trouble().is_some();
        self.skew().0.store(skew, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!(metric::CLOCK_SKEW, "service" => self.service().to_owned()).set(-(skew as f64) / 1e6);
        match (was_off, self.clock_trouble()) {
            (false, Some(trouble)) => warn!(service = self.service(), trouble, "nothing is pruned"),
            (true, None) => info!(service = self.service(), "the clock is right again"),
            (true, Some(_)) | (false, None) => {}
        }
        Ok(())
    }

    /// How far the process's clock is off, as a sentence, if by more than a minute. Such a process prunes nothing.
    pub fn clock_trouble(&self) -> Option<String> {
        let skew = self.skew().get().filter(|skew| skew.abs() > OFF_MAX)?;
        let direction = if skew < 0 { "ahead of" } else { "behind" };
        let whose = match self.dialect() {
            Dialect::Postgres => "the database's",
            Dialect::Sqlite => "the NATS server's",
        };
        Some(format!(
            "this process's clock is {} s {direction} {whose}: run a time service (NTP) on both machines",
            skew.abs() / 1_000_000
        ))
    }

    /// Whether the process's clock was compared and differs little, so that old rows may be deleted.
    pub fn may_prune(&self) -> bool {
        self.skew().get().is_some_and(|skew| skew.abs() <= OFF_MAX)
    }

    /// The time by the reference clock, or by the process's while that isn't known.
    pub fn reference_now(&self) -> Timestamp {
        let now = self.now().saturating_add(self.skew().get().unwrap_or(0));
        Timestamp::from_microsecond(now).unwrap_or(Timestamp::MAX)
    }
}
