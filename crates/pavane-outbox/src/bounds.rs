//! A service's bounds: how long it remembers sagas, and how much may wait in its outbox.

use std::time::Duration;

use pavane_contract::{Cause, EventRef, SagaId, Timestamp};

use crate::Error;

const DAY: Duration = Duration::from_hours(24);

/// A service's bounds. [`Db::keep_to`](crate::Db::keep_to) sets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Bounds {
    /// How long a saga's ledger rows and outcome are kept. Default 45 days. Steps, undos and decisions of an older saga are
    /// refused.
    pub memory: Duration,
    /// How many events may wait to be published before entry points refuse. Default 1,000,000.
    pub outbox_rows: u32,
    /// How long the oldest of them may have waited before entry points refuse. Default 24 hours.
    pub outbox_age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { memory: DAY * 45, outbox_rows: 1_000_000, outbox_age: DAY }
    }
}

impl Bounds {
    /// How old a saga may be when its ledger or outcome is read: a little less than the memory, because clocks differ.
    pub fn askable(&self) -> Duration {
        self.memory.saturating_sub(Duration::from_hours(1).min(self.memory / 100))
    }

    /// How old a saga may be when something that it scheduled comes due: a day less than the memory, for the events that follow.
    pub fn schedulable(&self) -> Duration {
        self.memory.saturating_sub(DAY.min(self.memory / 10))
    }

    /// Fails for a saga whose ledger and outcome may have been pruned.
    pub(crate) fn check_remembered(&self, cause: &Cause, now: Timestamp) -> Result<(), Error> {
        let age = age(cause, now);
        if age <= self.askable() {
            return Ok(());
        }
        Err(Error::Forgotten { saga: cause.saga, age, memory: self.memory })
    }

    /// Fails when the event would come due after the saga's ledger and outcome may have been pruned.
    pub(crate) fn check_delay(
        &self,
        cause: &Cause,
        now: Timestamp,
        (event, delay): (EventRef, Duration),
    ) -> Result<(), Error> {
        let age = age(cause, now);
        if age.saturating_add(delay) <= self.schedulable() {
            return Ok(());
        }
        let longest = self.schedulable().saturating_sub(age);
        Err(Error::TooLate { event, delay, age, memory: self.memory, longest })
    }
}

/// How old a saga is. Zero for one that starts in the future, by a clock that is ahead.
fn age(cause: &Cause, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(cause.started)).unwrap_or_default()
}

/// When the saga started that an entry point continues.
pub(crate) fn started(saga: SagaId, at: Option<Timestamp>) -> Result<Timestamp, Error> {
    at.or_else(|| saga.time()).ok_or(Error::StartUnknown(saga))
}

/// A duration, for error messages.
pub(crate) fn days(time: Duration) -> String {
    const HOUR: u64 = 3600;
    match time.as_secs() {
        seconds if seconds >= 48 * HOUR => format!("{} days", seconds / (24 * HOUR)),
        seconds if seconds >= HOUR => format!("{} h", seconds / HOUR),
        _ => format!("{time:?}"),
    }
}
