//! What a reaction does while something that it needs is away.
//!
//! ```text
//!            a run lacks something,          a run lacks something again; PostgreSQL
//!            the third time in a row         says that it is away, or read-only
//!                                                ┌──────┐
//!  running ─────────────────────────▶ paused ────┤      │ longer each time
//!     ▲    (PostgreSQL: the first time;    │  ▲  └──────┘
//!     │     what waits is given back)      │  │
//!     │                                    ▼  │ it lacks something again
//!     └───────────────────────────────── probing, one event at a time
//!              a run lacks nothing
//! ```
//!
//! An outage is not the events' fault, so no attempt is counted. Events that wait here return to the broker at once, because
//! another instance may reach what this one doesn't.

use std::{mem, time::Duration};

use pavane_bus::{Bus, Subscription as _};
use pavane_outbox::{Database, Dialect};
use tokio::time::Instant;
use tracing::debug;

use super::{Consumer, settle};
use crate::engine::{Lacks, Settlement};

/// This many infrastructure failures in a row are an outage: the reaction pauses, and then probes with one event. Fewer may be
/// one event's, and the others go on.
const OUTAGE: u32 = 3;

/// Since when something is away, and what.
#[derive(Debug)]
pub(super) struct Outage {
    /// Infrastructure failures in a row.
    pub(super) failures: u32,
    /// What the last run lacked.
    lacked: Lacks,
    /// No run begins before. Also set while the outbox is full, which is no outage.
    pub(super) paused_until: Option<Instant>,
}

impl Default for Outage {
    fn default() -> Self {
        Self { failures: 0, lacked: Lacks::Nothing, paused_until: None }
    }
}

impl Outage {
    fn is_on(&self) -> bool {
        self.failures >= OUTAGE
    }

    /// `most`, or one as a probe during an outage.
    pub(super) fn limited(&self, most: usize) -> usize {
        if self.is_on() { most.min(1) } else { most }
    }
}

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Consumer<S, DB, B> {
    /// Records what a run lacked.
    pub(super) async fn note(&mut self, lacks: Lacks) {
        match (lacks, self.outage.paused_until) {
            (Lacks::Nothing, _) => self.outage.failures = 0,
            // One of several runs that were active when the outage was noticed.
            (Lacks::Something | Lacks::Database, Some(_)) => {}
            (lacks, None) => self.count(lacks).await,
        }
    }

    async fn count(&mut self, lacks: Lacks) {
        let before = self.outage.is_on();
        self.outage.failures = self.outage.failures.saturating_add(1);
        self.outage.lacked = lacks;
        if self.asks_database() {
            // The next run would wait for the database as long.
            self.outage.failures = self.outage.failures.max(OUTAGE);
        }
        if self.outage.is_on() {
            self.pause();
        }
        if self.outage.is_on() && !before {
            self.give_back().await;
        }
    }

    fn pause(&mut self) {
        let pause = self.engine.backoff(Duration::from_millis(200), self.outage.failures.saturating_sub(OUTAGE) + 1);
        debug!(reaction = self.engine.wired.name, ?pause, "something is unavailable; pausing");
        self.outage.paused_until = Some(Instant::now() + pause);
    }

    /// Ends a pause, or begins the next one while the database is away.
    pub(super) async fn end_pause(&mut self) {
        let asks = self.outage.is_on() && self.asks_database();
        if asks && !matches!(self.engine.db.is_read_only().await, Ok(false)) {
            self.outage.failures = self.outage.failures.saturating_add(1);
            self.pause();
        } else {
            self.outage.paused_until = None;
        }
    }

    /// Whether the database server is away: then it is asked directly, and no event is needed as a probe.
    fn asks_database(&self) -> bool {
        self.outage.lacked == Lacks::Database && self.engine.db.dialect() == Dialect::Postgres
    }

    /// Returns the events that wait here, and those that were requested, to the broker: another instance may be able to handle
    /// them. Cancel-safe: what isn't returned is delivered again after the ack wait.
    async fn give_back(&mut self) {
        let queue = mem::take(&mut self.queue);
        self.in_hand -= queue.len();
        match self.engine.bus.subscribe(&self.engine.wired.consumer(self.engine.db.dialect())).await {
            // The old subscription has the outstanding requests, so it is closed.
            Ok(new) => {
                if let Err(error) = mem::replace(&mut self.subscription, new).close().await {
                    debug!(reaction = self.engine.wired.name, %error, "failed to return events to the broker; they are delivered again after the ack wait");
                }
            }
            Err(error) => {
                debug!(reaction = self.engine.wired.name, %error, "failed to cancel the requests for events; they are delivered again after the ack wait");
            }
        }
        // A delivery from the database is due again by itself.
        for arrived in queue.into_iter().filter(|arrived| !arrived.is_local) {
            settle(arrived.delivery, Settlement::Again { after: Duration::ZERO }).await;
        }
    }
}
