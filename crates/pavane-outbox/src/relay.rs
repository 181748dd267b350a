//! The relay: publishes the committed rows of the outbox.
//!
//! One relay publishes per database, whatever the number of instances: the holder of a lease in the database. Rows are published
//! in the order of their commits, pipelined, with the event's id as message id. A row is marked once the broker has
//! acknowledged it, and kept until the durability horizon has passed, because an acknowledgement does not mean that the
//! broker has synced it to disk. After each reconnection, and at intervals, the relay checks whether the broker still has
//! what it acknowledged, and publishes again what it lost.
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
//! Between two [turns](Relay::turn) the relay holds two things, which are unsent rows in the database too: `ahead` was read and
//! not published, `answers` was published and not recorded. Both are dropped when the lease or the connection is lost. What
//! isn't recorded is read again, and published again under the same id.

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
    /// When due timers were last looked for.
    timers_at: i64,
    reconnects: u64,
    /// Rows that were read while others were being published.
    ahead: Vec<Unsent>,
    /// The broker's answers of the last turn. Recorded with the next read, or while the next rows are being published.
    answers: Answers,
}

impl<DB: Database, B: Bus> Relay<DB, B> {
    /// A relay that hasn't taken the lease yet.
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

    /// Publishes one batch, if this relay has the lease or can take it. Cancel-safe: rows are marked only after the broker's
    /// acknowledgement; unmarked ones are published again under the same id.
    ///
    /// Each answer of PostgreSQL's may take the [timeout](crate::Config::answer_timeout).
    ///
    /// While a batch is being published, the one before is marked and the one after is read. So the last batch is marked by the
    /// next turn, or by [`release`](Self::release).
    ///
    /// # Errors
    ///
    /// When the database or the broker fails. What the broker acknowledged before the failure is marked.
    pub async fn turn(&mut self) -> Result<Progress, Error> {
        let now = self.db.now();
        if self.lease.is_over(now) || self.is_reconnected() {
            // Another relay may have published since, or the broker may have lost what it acknowledged. Unmarked rows are read
            // again, and published again under the same id.
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

    /// What is due at intervals, however busy the relay is.
    async fn maintain(&mut self, now: i64) -> Result<(), Error> {
        const TIMERS_EVERY: i64 = 100_000;
        if is_due(now, self.timers_at, TIMERS_EVERY) {
            self.fire_timers(now).await?;
        }
        self.prune_if_due(now).await
    }

    /// Publishes rows, records the answers about the rows before, and reads the next rows, all at once.
    async fn publish(&mut self, rows: Vec<Unsent>, stream: StreamState) -> Result<Progress, Error> {
        self.window.measure(&rows);
        let (seqs, messages): (Vec<_>, Vec<_>) = rows.into_iter().map(|row| (row.seq, row.message)).unzip();
        let under_way: Vec<_> = seqs.iter().copied().chain(self.answers.seqs()).collect();
        let before = &self.answers;
        let next = async { if self.window.was_filled { self.read(&under_way).await } else { Ok(Vec::new()) } };
        let started = self.db.now();
        self.db.crash_point(CrashPoint::BeforePublish).await;
        let (results, recorded, next) = tokio::join!(self.bus.publish(messages), self.record(before), next);
        self.db.crash_point(CrashPoint::AfterPublish).await;
        if self.db.now().saturating_sub(started) > micros(self.config.lease) / 8 {
            // The lease must not run out while a batch is under way.
            self.window.shrink();
        }
        self.answers = Answers::of(seqs.into_iter().zip(results), stream);
        self.count(&self.answers);
        let (sent, refused) = (self.answers.sent.len(), self.answers.refused.len());
        if !recorded? {
            self.lose_lease();
            return Ok(Progress::Sent { sent, refused });
        }
        if self.is_reconnected() {
            // The broker may have lost what it had acknowledged: the next turn checks first. Rows that it still has are
            // duplicates to it.
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
            // The row waits for an operator, and the rows after it wait for the row. Until it is permitted, rows go one at a
            // time.
            self.window.close();
            self.stand_still(Some(cause.to_string()));
        }
        self.record_answers().await?;
        Err(cause.into())
    }

    /// Sets why nothing is published until an operator acts, or clears it.
    fn stand_still(&self, trouble: Option<String>) {
        if self.db.relay_trouble() == trouble {
            return;
        }
        let denied = metrics::gauge!(metric::DENIED, "service" => self.db.service().to_owned());
        denied.set(if trouble.is_some() { 1.0 } else { 0.0 });
        self.db.set_relay_trouble(trouble);
    }

    /// Drops what isn't published and recorded. It is still in the outbox.
    fn forget(&mut self) {
        self.ahead.clear();
        self.answers = Answers::default();
    }

    fn is_reconnected(&self) -> bool {
        self.bus.health().reconnects != self.reconnects
    }
}

/// Whether `every` microseconds have passed since `last`. Also `true` when the clock was set back.
fn is_due(now: i64, last: i64, every: i64) -> bool {
    now < last || now >= last.saturating_add(every)
}
