//! The lease: which instance's relay publishes.

use pavane_bus::Bus;

use super::{Error, Relay, store};
use crate::{Database, db::micros};

/// What this relay knows of the lease. By the process's clock: only durations matter.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) owner: String,
    from: i64,
    until: i64,
}

impl Lease {
    pub(super) const fn new(owner: String) -> Self {
        Self { owner, from: i64::MIN, until: i64::MIN }
    }

    pub(super) const fn is_over(&self, now: i64) -> bool {
        now >= self.until
    }

    pub(super) const fn end(&mut self) {
        self.until = i64::MIN;
    }
}

impl<DB: Database, B: Bus> Relay<DB, B> {
    /// Takes or renews the lease. `false` when another instance has it.
    pub(super) async fn hold_lease(&mut self, now: i64) -> Result<bool, Error> {
        let length = micros(self.config.lease);
        // Renewed at half time. Until then it is ours without a query, unless our clock was set back.
        if now >= self.lease.from && now.saturating_add(length / 2) < self.lease.until {
            return Ok(true);
        }
        let held = self.db.within(store::hold_lease(&self.db, &self.lease.owner, self.config.lease)).await?;
        self.lease.from = now;
        self.lease.until = if held { now.saturating_add(length) } else { i64::MIN };
        Ok(held)
    }

    /// Releases the lease, so that another instance goes on at once.
    ///
    /// # Errors
    ///
    /// When the database fails. The lease then expires by itself.
    pub async fn release(&mut self) -> Result<(), Error> {
        if !self.is_reconnected() {
            self.record_answers().await?;
        }
        self.forget();
        self.lease.end();
        let release = async { store::release_lease::<DB>(&mut *self.db.writer().await?, &self.lease.owner).await };
        Ok(self.db.within(release).await?)
    }

    /// Another instance has the lease now.
    pub(super) fn lose_lease(&mut self) {
        self.lease.end();
        self.stand_still(None);
        self.forget();
    }
}
