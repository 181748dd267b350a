//! How far the process's clock differs from the reference: `PostgreSQL`'s, or on SQLite the broker's.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use pavane_contract::{Cause, EventRef, Timestamp};
use tracing::{info, warn};

use crate::{Database, Db, Dialect, Error, metric, store};

/// Clocks kept by NTP differ by far less.
const OFF_MAX: i64 = 60_000_000;

/// What the reference clock said, less the time that had [passed](pavane_contract::Clock::elapsed) then, in microseconds, if it was ever
/// asked. So a clock that is set while the process runs is noticed at once.
#[derive(Debug)]
pub(crate) struct Reference {
    offset: AtomicI64,
    /// Whether it was logged that the process's clock is wrong.
    was_wrong: AtomicBool,
}

impl Default for Reference {
    fn default() -> Self {
        Self { offset: AtomicI64::new(Self::UNKNOWN), was_wrong: AtomicBool::new(false) }
    }
}

impl Reference {
    const UNKNOWN: i64 = i64::MIN;

    fn get(&self) -> Option<i64> {
        Some(self.offset.load(Ordering::Relaxed)).filter(|offset| *offset != Self::UNKNOWN)
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
        let before = self.elapsed();
        let other = match (self.dialect(), broker) {
            (Dialect::Postgres, _) => self.within(async { store::now::<DB>(&mut *self.writer().await?).await }).await?,
            (Dialect::Sqlite, Some(broker)) => broker.as_microsecond(),
            (Dialect::Sqlite, None) => return Ok(()),
        };
        let after = self.elapsed();
        self.reference().offset.store(other.saturating_sub(before.midpoint(after)), Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        let seconds = self.ahead().unwrap_or(0) as f64 / 1e6;
        metrics::gauge!(metric::CLOCK_SKEW, "service" => self.service().to_owned()).set(seconds);
        let trouble = self.clock_trouble();
        let was_wrong = self.reference().was_wrong.swap(trouble.is_some(), Ordering::Relaxed);
        match (was_wrong, trouble) {
            (false, Some(trouble)) => warn!(service = self.service(), trouble, "nothing is pruned"),
            (true, None) => info!(service = self.service(), "the clock is right again"),
            (true, Some(_)) | (false, None) => {}
        }
        Ok(())
    }

    /// How far the process's clock is off, as a sentence, if by more than a minute. Such a process prunes nothing.
    pub fn clock_trouble(&self) -> Option<String> {
        let ahead = self.ahead().filter(|ahead| ahead.abs() > OFF_MAX)?;
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        let whose = match self.dialect() {
            Dialect::Postgres => "the database's",
            Dialect::Sqlite => "the NATS server's",
        };
        Some(format!(
            "this process's clock is {} s {direction} {whose}: run a time service (NTP) on both machines",
            ahead.abs() / 1_000_000
        ))
    }

    /// Whether the process's clock was compared and differs little, so that old rows may be deleted.
    pub fn may_prune(&self) -> bool {
        self.ahead().is_some_and(|ahead| ahead.abs() <= OFF_MAX)
    }

    /// The time by the reference clock, or by the process's while that isn't known.
    pub fn reference_now(&self) -> Timestamp {
        let now = self.reference().get().map_or_else(|| self.now(), |offset| self.elapsed().saturating_add(offset));
        Timestamp::from_microsecond(now).unwrap_or(Timestamp::MAX)
    }

    /// Fails for a saga so old that its ledger and outcome may have been pruned: "nothing is known" must not be taken for
    /// "nothing was done".
    ///
    /// What looks too old by a clock of this process is so only if the database's clock says so, which is asked then.
    ///
    /// # Errors
    ///
    /// [`Error::Forgotten`]; and when the database fails.
    pub async fn check_remembered(&self, conn: &mut DB::Connection, cause: &Cause) -> Result<(), Error> {
        if self.surely_remembers(cause) {
            return Ok(());
        }
        self.bounds().check_remembered(cause, self.asked_now(conn).await?)
    }

    /// Whether a saga is not too old by any clock of this process: then the [check](Self::check_remembered) would ask nobody.
    pub fn surely_remembers(&self, cause: &Cause) -> bool {
        self.bounds().check_remembered(cause, self.latest_now()).is_ok()
    }

    /// Fails when an event would come due after the saga's ledger and outcome may have been pruned. As above, it depends on the
    /// database's clock.
    pub(crate) async fn check_delay(
        &self,
        conn: &mut DB::Connection,
        cause: &Cause,
        timer: (EventRef, Duration),
    ) -> Result<(), Error> {
        let bounds = self.bounds();
        match bounds.check_delay(cause, self.latest_now(), timer.clone()) {
            Ok(()) => Ok(()),
            Err(_) => bounds.check_delay(cause, self.asked_now(conn).await?, timer),
        }
    }

    /// The time by whichever clock of this process is ahead: a machine that was suspended has missed what passed meanwhile, until the
    /// reference is asked again.
    fn latest_now(&self) -> Timestamp {
        self.reference_now().max(self.clock().now())
    }

    async fn asked_now(&self, conn: &mut DB::Connection) -> Result<Timestamp, Error> {
        match self.dialect() {
            Dialect::Postgres => {
                let now = store::now::<DB>(conn).await?;
                Ok(Timestamp::from_microsecond(now).unwrap_or(Timestamp::MAX))
            }
            Dialect::Sqlite => Ok(self.reference_now()),
        }
    }

    /// How many microseconds the process's clock is ahead of the reference, if that is known.
    fn ahead(&self) -> Option<i64> {
        self.reference().get().map(|offset| self.now().saturating_sub(self.elapsed().saturating_add(offset)))
    }

    /// Microseconds that have passed.
    fn elapsed(&self) -> i64 {
        i64::try_from(self.clock().elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}
