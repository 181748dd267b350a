//! What a service keeps to: how long it remembers, and how much may wait in its outbox.

use std::time::Duration;

use pavane_contract::{Cause, EventRef, SagaId, Timestamp};

use crate::Error;

const DAY: Duration = Duration::from_hours(24);

/// What a service keeps to. [`Db::keep_to`](crate::Db::keep_to) sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Bounds {
    /// How long ledger and outcomes of a saga are remembered. Default 45 days. A saga that is older has no memory: what needs it
    /// is refused.
    pub memory: Duration,
    /// So many events may wait to be published before entry points refuse. Default 1,000,000.
    pub outbox_rows: u32,
    /// So long may the oldest of them have waited before entry points refuse. Default 24 hours.
    pub outbox_age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { memory: DAY * 45, outbox_rows: 1_000_000, outbox_age: DAY }
    }
}

impl Bounds {
    /// How old a saga may be for its memory to be asked. A little less than it lasts, as clocks differ and things take time.
    pub fn askable(&self) -> Duration {
        self.memory.saturating_sub(Duration::from_hours(1).min(self.memory / 100))
    }

    /// How old a saga may be when something that it scheduled happens. A day less than its memory lasts, for what follows.
    pub fn schedulable(&self) -> Duration {
        self.memory.saturating_sub(DAY.min(self.memory / 10))
    }

    /// Refuses to ask for the memory of a saga that has none any more.
    pub(crate) fn check_remembered(&self, cause: &Cause, now: Timestamp) -> Result<(), Error> {
        let age = age(cause, now);
        if age <= self.askable() {
            return Ok(());
        }
        Err(Error::Forgotten { saga: cause.saga, age, memory: self.memory })
    }

    /// Refuses to schedule what would happen to a saga that has no memory any more.
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

/// How old a saga is. One that starts later than now, by a clock that is ahead, is new.
fn age(cause: &Cause, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(cause.started)).unwrap_or_default()
}

/// When a saga started that an entry point goes on with.
pub(crate) fn started(saga: SagaId, at: Option<Timestamp>) -> Result<Timestamp, Error> {
    at.or_else(|| saga.time()).ok_or(Error::StartUnknown(saga))
}

/// A time as people say it.
pub(crate) fn days(time: Duration) -> String {
    const HOUR: u64 = 3600;
    match time.as_secs() {
        seconds if seconds >= 48 * HOUR => format!("{} days", seconds / (24 * HOUR)),
        seconds if seconds >= HOUR => format!("{} h", seconds / HOUR),
        _ => format!("{time:?}"),
    }
}
