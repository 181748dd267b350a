//! The relay: publishes what committed transactions left in the outbox.
//!
//! One relay publishes per database, whatever the number of instances: a lease in the database says which. Rows go out
//! in the order of their commits, pipelined, under the event's id as message id; a row is marked once the broker has
//! acknowledged it, and kept until the durability horizon has passed, because an acknowledgement does not mean that the
//! broker has flushed it to disk. Whenever the connection was lost, and now and then anyway, the relay looks whether the
//! broker still has what it acknowledged, and publishes again what it lost.

mod answers;
mod durability;
mod store;

use std::time::Duration;

use pavane_bus::{Bus, PublishError, StreamState, Wakes};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::{debug, info, warn};

use crate::{Backlog, CrashPoint, Database, Db, Error as StoreError, Failure, db::micros, metric, store as tables};
use answers::Answers;
use store::Unsent;

/// How the relay works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Most rows published in one step. Default 2048; fewer when the rows are large. Three times as many are in memory while
    /// the relay is busy: those that are being published, those before them and those after them.
    pub batch_max: u16,
    /// How long sent rows are kept for a broker that loses what it acknowledged. Default 10 minutes; must be well over
    /// the broker's sync interval (2 minutes by default).
    pub durability_horizon: Duration,
    /// How long a relay that died keeps others from publishing. Default 5 s.
    pub lease: Duration,
    /// How often the broker is asked whether it still has what it acknowledged, when nothing makes it urgent. Default 30 s.
    pub verify_every: Duration,
    /// Longest pause between two looks at an empty outbox, and of a standby at the lease. A commit ends it at once, in this
    /// process or, as long as the bus carries the wake, in another instance. Default 500 ms.
    pub poll_max: Duration,
    /// How long the verdict of a saga is kept. Default 45 days; a saga must not live longer.
    pub verdict_retention: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_max: 2048,
            durability_horizon: Duration::from_mins(10),
            lease: Duration::from_secs(5),
            verify_every: Duration::from_secs(30),
            poll_max: Duration::from_millis(500),
            verdict_retention: Duration::from_hours(45 * 24),
        }
    }
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Published some rows; there may be more.
    Sent {
        /// How many the broker acknowledged.
        sent: usize,
        /// How many it refused for good.
        refused: usize,
    },
    /// Nothing to publish.
    Idle {
        /// Microseconds until the next timer is due, if there is one.
        next_due: Option<i64>,
    },
    /// Another instance holds the lease.
    Standby,
}

/// Why a step didn't succeed. The next one tries again; nothing is lost. Each reads after "failed to relay events: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker is unavailable.
    #[error(transparent)]
    Bus(#[from] pavane_bus::Error),
    /// The broker didn't acknowledge.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Error {
    fn is_read_only(&self) -> bool {
        matches!(self, Self::Store(error) if error.failure() == Failure::ReadOnly)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// From one look to the next under load: what is committed meanwhile goes out together, at the price of one.
const GATHER: Duration = Duration::from_millis(1);

/// Publishes one database's outbox to one bus.
#[derive(Debug)]
pub struct Relay<DB: Database, B: Bus> {
    db: Db<DB>,
    bus: B,
    config: Config,
    owner: String,
    /// By our own clock: what counts is how much time passes on it.
    lease_from: i64,
    lease_until: i64,
    stream: Option<StreamState>,
    verified_at: i64,
    pruned_at: i64,
    /// When timers were looked at last.
    timers_at: i64,
    /// How many rows to read at once.
    read_max: i64,
    /// Whether the last read brought as many rows as it asked for.
    may_be_more: bool,
    reconnects: u64,
    /// Read while others were being published. Void once the lease or the connection was lost.
    ahead: Vec<Unsent>,
    /// About what the step before published. Recorded with the read of the next rows, or while they are being published. Void
    /// with the lease or the connection.
    answers: Answers,
}

impl<DB: Database, B: Bus> Relay<DB, B> {
    /// A relay that has done nothing yet.
    pub fn new(db: Db<DB>, bus: B, config: Config) -> Self {
        let owner = pavane_contract::EventId::new(db.clock()).to_string();
        let reconnects = bus.health().reconnects;
        let read_max = i64::from(config.batch_max.clamp(1, 64));
        Self {
            db,
            bus,
            config,
            owner,
            lease_from: i64::MIN,
            lease_until: i64::MIN,
            stream: None,
            verified_at: i64::MIN,
            pruned_at: 0,
            timers_at: i64::MIN,
            read_max,
            may_be_more: false,
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
    /// marked by the step after it, or by [`release`](Self::release).
    ///
    /// # Errors
    ///
    /// When the database or the broker fails. What the broker acknowledged before the failure is marked.
    pub async fn step(&mut self) -> Result<Progress, Error> {
        let now = self.db.now();
        if now >= self.lease_until || self.is_reconnected() {
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
        self.keep_house(now).await?;
        Ok(progress)
    }

    /// Steps for ever: at once after a commit, in this process or in another instance, or while there is more; else after a
    /// pause that grows. Stops when dropped; call [`release`](Self::release) then.
    pub async fn run(&mut self) {
        const POLL_MIN: Duration = Duration::from_millis(5);
        let mut wakes = self.listen().await;
        let mut pause = POLL_MIN;
        let mut failing = false;
        let mut gathered = Instant::now();
        loop {
            match self.step().await {
                Ok(Progress::Sent { .. }) => {
                    if failing {
                        info!(service = self.db.service(), "the relay publishes again");
                    }
                    (pause, failing) = (POLL_MIN, false);
                    if self.may_be_more {
                        continue;
                    }
                    gathered = Instant::now() + GATHER;
                }
                Ok(Progress::Idle { next_due }) => {
                    failing = false;
                    let due = next_due.map_or(self.config.poll_max, |due| Duration::from_micros(due.unsigned_abs()));
                    pause = (pause * 2).min(self.config.poll_max).min(due.max(POLL_MIN));
                }
                Ok(Progress::Standby) => {
                    self.stand_by().await;
                    continue;
                }
                Err(cause) => {
                    if cause.is_read_only() {
                        self.db.distrust();
                    }
                    // Logged once per outage, not once per attempt.
                    if failing {
                        debug!(service = self.db.service(), %cause, "still failed to relay events");
                    } else {
                        warn!(service = self.db.service(), %cause, "failed to relay events; trying again");
                    }
                    (pause, failing) = ((pause * 2).min(self.config.poll_max), true);
                    sleep(pause).await;
                    continue;
                }
            }
            // A commit makes it worth looking at once.
            let worth_a_look = async {
                tokio::select! {
                    () = self.db.committed() => {}
                    () = wakes.next() => {}
                }
            };
            if timeout(pause, worth_a_look).await.is_ok() {
                pause = POLL_MIN;
                sleep_until(gathered).await;
            }
        }
    }

    /// Listens to the other instances. Without that their commits wait for the next look.
    async fn listen(&self) -> Wakes {
        self.bus.listen(self.db.service()).await.unwrap_or_else(|cause| {
            warn!(service = self.db.service(), %cause, "failed to listen to the other instances; their events go out later");
            Wakes::never()
        })
    }

    /// Leaves the lease alone until it is worth another look, and tells the instance that has it what is committed here.
    async fn stand_by(&self) {
        let until = Instant::now() + self.config.poll_max;
        while timeout_at(until, self.db.committed()).await.is_ok() {
            if let Err(cause) = self.bus.wake(self.db.service()).await {
                debug!(service = self.db.service(), %cause, "failed to wake the instance that publishes");
            }
            // Commits without end must not keep it from the look.
            if Instant::now() >= until {
                return;
            }
            sleep(GATHER).await;
        }
    }

    /// Gives the lease back, so that another instance goes on at once.
    ///
    /// # Errors
    ///
    /// When the database fails. The lease then expires by itself.
    pub async fn release(&mut self) -> Result<(), Error> {
        if !self.is_reconnected() {
            self.record_answers().await?;
        }
        self.forget();
        self.lease_until = i64::MIN;
        let release = async { store::release_lease::<DB>(&mut *self.db.writer().await?, &self.owner).await };
        Ok(self.db.within(release).await?)
    }

    /// Counts what waits in the outbox.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn backlog(db: &Db<DB>) -> Result<Backlog, Error> {
        Ok(db.within(async { tables::backlog::<DB>(&mut *db.reader().await?).await }).await?)
    }

    async fn hold_lease(&mut self, now: i64) -> Result<bool, Error> {
        let lease = micros(self.config.lease);
        // Renewed at half time; until then it is known to be ours without asking, unless our clock was put back.
        if now >= self.lease_from && now.saturating_add(lease / 2) < self.lease_until {
            return Ok(true);
        }
        let held = self.db.within(store::hold_lease(&self.db, &self.owner, self.config.lease)).await?;
        (self.lease_from, self.lease_until) = if held { (now, now.saturating_add(lease)) } else { (now, i64::MIN) };
        Ok(held)
    }

    /// Reads the oldest rows but some: as many as fit into a limited amount of memory, going by those read before.
    async fn read(&self, but: &[i64]) -> Result<Vec<Unsent>, Error> {
        let (dialect, limit) = (self.db.dialect(), self.read_max);
        let read = async { store::unsent::<DB>(&mut *self.db.writer().await?, dialect, but, limit).await };
        Ok(self.db.within(read).await?)
    }

    /// Reads more at once the next time, if that many fit.
    fn read_more(&mut self, rows: &[Unsent]) {
        const BYTES_MAX: usize = 8 << 20;
        let bytes: usize = rows.iter().map(|row| row.message.payload.len()).sum();
        let fitting = i64::try_from(BYTES_MAX / (bytes / rows.len().max(1) + 1)).unwrap_or(i64::MAX);
        self.read_max = fitting.min(2 * self.read_max).min(i64::from(self.config.batch_max)).max(1);
    }

    /// Moves due timers to the outbox. Returns in how many microseconds the next one is due.
    async fn fire_timers(&mut self, now: i64) -> Result<Option<i64>, Error> {
        self.timers_at = now;
        let (db, limit) = (&self.db, i64::from(self.config.batch_max));
        let fire = async {
            let due = tables::next_due(db).await?;
            if due.is_some_and(|due| due <= 0) {
                let mut tx = db.begin_plain().await?;
                tables::fire_timers(db, tx.conn(), limit).await?;
                tx.commit().await?;
            }
            Ok::<_, StoreError>(due)
        };
        Ok(db.within(fire).await?)
    }

    /// What is to be done now and then, however busy the relay is.
    async fn keep_house(&mut self, now: i64) -> Result<(), Error> {
        const TIMERS_EVERY: i64 = 100_000;
        if is_due(now, self.timers_at, TIMERS_EVERY) {
            self.fire_timers(now).await?;
        }
        self.prune_if_due(now).await
    }

    /// Publishes rows, records what the broker said about those before, and reads those that come next, all at once.
    async fn publish(&mut self, rows: Vec<Unsent>, stream: StreamState) -> Result<Progress, Error> {
        self.may_be_more = i64::try_from(rows.len()).is_ok_and(|read| read >= self.read_max);
        self.read_more(&rows);
        let (seqs, messages): (Vec<_>, Vec<_>) = rows.into_iter().map(|row| (row.seq, row.message)).unzip();
        let under_way: Vec<_> = seqs.iter().copied().chain(self.answers.seqs()).collect();
        let before = &self.answers;
        let next = async { if self.may_be_more { self.read(&under_way).await } else { Ok(Vec::new()) } };
        let started = self.db.now();
        self.db.crash_point(CrashPoint::BeforePublish).await;
        let (outcomes, recorded, next) = tokio::join!(self.bus.publish(messages), self.record(before), next);
        self.db.crash_point(CrashPoint::AfterPublish).await;
        if self.db.now().saturating_sub(started) > micros(self.config.lease) / 8 {
            // The lease must not run out while a batch is under way.
            self.read_max = (self.read_max / 4).max(1);
        }
        self.answers = Answers::of(seqs.into_iter().zip(outcomes), stream);
        self.count(&self.answers);
        let (sent, refused) = (self.answers.sent.len(), self.answers.refused.len());
        if !recorded? {
            self.give_up_lease();
            return Ok(Progress::Sent { sent, refused });
        }
        if self.is_reconnected() {
            // The broker may have lost what it had acknowledged: look first, at the next step. What it still has is a
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
            // It waits for an operator, and what comes behind waits for it. From now on it goes alone, until it may: a batch
            // that is under way can't be called back.
            self.read_max = 1;
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

    /// Somebody else has the lease now.
    fn give_up_lease(&mut self) {
        self.lease_until = i64::MIN;
        self.stand_still(None);
        self.forget();
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
