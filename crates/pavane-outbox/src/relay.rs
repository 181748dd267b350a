//! The relay: publishes what committed transactions left in the outbox.
//!
//! One relay publishes per database, whatever the number of instances: a lease in the database says which. Rows go out
//! in the order of their commits, pipelined, under the event's id as message id; a row is marked once the broker has
//! acknowledged it, and kept until the durability horizon has passed, because an acknowledgement does not mean that the
//! broker has flushed it to disk. Whenever the connection was lost, and now and then anyway, the relay looks whether the
//! broker still has what it acknowledged, and publishes again what it lost.
//!
//! ```text
//!               the lease is another's                    no rows
//!   standby ◀───────────────────────── leading ─────────────────────▶ timers
//!      │                                │   ▲                            │
//!      └────────────────────────────────┘   │ `ahead` is empty, or       │ one was due: its row
//!          it is free, or ran out           │ the lease or the           ▼
//!                                           │ connection was lost    publishing
//!                                           │                        ┌───────────────────────────────┐
//!                                           └────────────────────────│ at once: the rows go out,     │
//!                                                                    │ `answers` about those before  │
//!                                                          rows ────▶│ are recorded, and those after │
//!                                                                    │ them are read, into `ahead`   │
//!                                                                    └───────────────────────────────┘
//! ```
//!
//! Two things are in hand between two [turns](Relay::turn), and are in the database too, as unsent rows: `ahead`, which was read
//! and not published, and `answers`, which was published and not recorded. Both are forgotten when the lease or
//! the connection is lost: what isn't recorded is read again, and published again under the same id.

mod answers;
mod config;
mod durability;
mod lease;
mod progress;
mod run;
mod store;
mod window;

use pavane_bus::{Bus, PublishError, StreamState};

use crate::{CrashPoint, Database, Db, Error as StoreError, db::micros, metric, timer::store as timers};
use answers::Answers;
pub use config::Config;
use lease::Lease;
pub use progress::{Error, Progress};
use store::Unsent;
use window::Window;

/// Publishes one database's outbox to one bus.
#[derive(Debug)]
pub struct Relay<DB: Database, B: Bus> {
    db: Db<DB>,
    bus: B,
    config: Config,
    lease: Lease,
    window: Window,
    stream: Option<StreamState>,
    verified_at: i64,
    pruned_at: i64,
    /// When timers were looked at last.
    timers_at: i64,
    reconnects: u64,
    /// Read while others were being published.
    ahead: Vec<Unsent>,
    /// About what the turn before published. Recorded with the read of the next rows, or while they are being published.
    answers: Answers,
}

impl<DB: Database, B: Bus> Relay<DB, B> {
    /// A relay that has done nothing yet.
    pub fn new(db: Db<DB>, bus: B, config: Config) -> Self {
        let owner = pavane_contract::EventId::new(db.clock()).to_string();
        let reconnects = bus.health().reconnects;
        let (lease, window) = (Lease::new(owner), Window::new(config.batch_max));
        Self {
            db,
            bus,
            config,
            lease,
            window,
            stream: None,
            verified_at: i64::MIN,
            pruned_at: 0,
            timers_at: i64::MIN,
            reconnects,
            ahead: Vec::new(),
            answers: Answers::default(),
        }
    }

    /// Publishes one batch, if this relay is the one to do so. Cancel-safe: rows are marked only after the broker's
    /// acknowledgement, and published again under the same id otherwise.
    ///
    /// PostgreSQL has the [timeout](crate::Config::answer_timeout) for each answer.
    ///
    /// While a batch is being published, the one before is marked and the one after it is read. The last of several batches is
    /// marked by the turn after it, or by [`release`](Self::release).
    ///
    /// # Errors
    ///
    /// When the database or the broker fails. What the broker acknowledged before the failure is marked.
    pub async fn turn(&mut self) -> Result<Progress, Error> {
        let now = self.db.now();
        if self.lease.is_over(now) || self.is_reconnected() {
            // Somebody else may have published since, or the broker may have lost what it acknowledged: what isn't marked is
            // read again, and published again under the same id.
            self.forget();
        }
        if !self.hold_lease(now).await? {
            self.stand_still(None);
            return Ok(Progress::Standby);
        }
        let stream = self.verify_if_due(now).await?;
        let mut rows = std::mem::take(&mut self.ahead);
        if rows.is_empty() {
            match self.record_and_read().await? {
                Some(read) => rows = read,
                None => return Ok(Progress::Standby),
            }
        }
        let mut next_due = None;
        if rows.is_empty() {
            next_due = self.fire_timers(now).await?;
            if next_due.is_some_and(|due| due <= 0) {
                rows = self.read(&[]).await?;
            }
        }
        let progress = if rows.is_empty() {
            self.stand_still(None);
            Progress::Idle { next_due: next_due.map(|due| due.max(0)) }
        } else {
            self.publish(rows, stream).await?
        };
        // Last, so that no event waits for it.
        self.maintain(now).await?;
        Ok(progress)
    }

    /// Reads the oldest rows except some.
    async fn read(&self, except: &[i64]) -> Result<Vec<Unsent>, Error> {
        let (dialect, limit) = (self.db.dialect(), self.window.rows());
        let read = async { store::unsent::<DB>(&mut *self.db.writer().await?, dialect, except, limit).await };
        Ok(self.db.within(read).await?)
    }

    /// Moves due timers to the outbox. Returns in how many microseconds the next one is due; 0 when some were moved.
    async fn fire_timers(&mut self, now: i64) -> Result<Option<i64>, Error> {
        /// Those that are due are being cancelled: look again, but not at once.
        const HELD: i64 = 5_000;
        self.timers_at = now;
        let (db, limit) = (&self.db, i64::from(self.config.batch_max));
        let fire = async {
            let due = timers::next_due(db).await?;
            if due.is_none_or(|due| due > 0) {
                return Ok::<_, StoreError>(due);
            }
            let mut tx = db.begin_plain().await?;
            let moved = timers::fire(db, tx.conn(), limit).await?;
            tx.commit().await?;
            Ok(Some(if moved > 0 { 0 } else { HELD }))
        };
        Ok(db.within(fire).await?)
    }

    /// What is to be done now and then, however busy the relay is.
    async fn maintain(&mut self, now: i64) -> Result<(), Error> {
        const TIMERS_EVERY: i64 = 100_000;
        if is_due(now, self.timers_at, TIMERS_EVERY) {
            self.fire_timers(now).await?;
        }
        self.prune_if_due(now).await
    }

    /// Publishes rows, records what the broker said about those before, and reads those that come next, all at once.
    async fn publish(&mut self, rows: Vec<Unsent>, stream: StreamState) -> Result<Progress, Error> {
        self.window.measure(&rows);
        let (seqs, messages): (Vec<_>, Vec<_>) = rows.into_iter().map(|row| (row.seq, row.message)).unzip();
        let under_way: Vec<_> = seqs.iter().copied().chain(self.answers.seqs()).collect();
        let before = &self.answers;
        let next = async { if self.window.was_filled { self.read(&under_way).await } else { Ok(Vec::new()) } };
        let started = self.db.now();
        self.db.crash_point(CrashPoint::BeforePublish).await;
        let (outcomes, recorded, next) = tokio::join!(self.bus.publish(messages), self.record(before), next);
        self.db.crash_point(CrashPoint::AfterPublish).await;
        if self.db.now().saturating_sub(started) > micros(self.config.lease) / 8 {
            // The lease must not run out while a batch is under way.
            self.window.shrink();
        }
        self.answers = Answers::of(seqs.into_iter().zip(outcomes), stream);
        self.count(&self.answers);
        let (sent, refused) = (self.answers.sent.len(), self.answers.refused.len());
        if !recorded? {
            self.lose_lease();
            return Ok(Progress::Sent { sent, refused });
        }
        if self.is_reconnected() {
            // The broker may have lost what it had acknowledged: look first, at the next turn. What it still has is a
            // duplicate to it.
            self.forget();
            return Ok(Progress::Sent { sent, refused });
        }
        self.ahead = next?;
        let Some(cause) = self.answers.failure.take() else {
            self.stand_still(None);
            return Ok(Progress::Sent { sent, refused });
        };
        self.ahead.clear();
        if let PublishError::Denied(_) = cause {
            // It waits for an operator, and what comes behind waits for it. From now on it goes alone, until it may.
            self.window.close();
            self.stand_still(Some(cause.to_string()));
        }
        self.record_answers().await?;
        Err(cause.into())
    }

    /// Says why nothing is published until an operator does something about it, or that this is over.
    fn stand_still(&self, trouble: Option<String>) {
        if self.db.relay_trouble() == trouble {
            return;
        }
        let denied = metrics::gauge!(metric::DENIED, "service" => self.db.service().to_owned());
        denied.set(if trouble.is_some() { 1.0 } else { 0.0 });
        self.db.set_relay_trouble(trouble);
    }

    /// Forgets what is neither published nor recorded. It is still in the outbox.
    fn forget(&mut self) {
        self.ahead.clear();
        self.answers = Answers::default();
    }

    fn is_reconnected(&self) -> bool {
        self.bus.health().reconnects != self.reconnects
    }
}

/// Whether so many microseconds have passed since; or a clock that was put back can't tell.
fn is_due(now: i64, last: i64, every: i64) -> bool {
    now < last || now >= last.saturating_add(every)
}
