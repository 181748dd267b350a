//! The relay: publishes what committed transactions left in the outbox.
//!
//! One relay publishes per database, whatever the number of instances: a lease in the database says which. Rows go out
//! in the order of their commits, pipelined, under the event's id as message id; a row is marked once the broker has
//! acknowledged it, and kept until the durability horizon has passed, because an acknowledgement does not mean that the
//! broker has flushed it to disk. Whenever the connection was lost, and now and then anyway, the relay looks whether the
//! broker still has what it acknowledged, and publishes again what it lost.

mod durability;
mod store;

use std::time::Duration;

use pavane_bus::{Bus, PublishError, Receipt, StreamState};
use tracing::{debug, error, info, warn};

use crate::{Backlog, CrashPoint, Database, Db, Error as StoreError, db::micros, metric, store as tables};
use store::{Refused, Sent, Unsent};

/// How the relay works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Most rows published in one step. Default 2048; fewer when the rows are large.
    pub batch_max: u16,
    /// How long sent rows are kept for a broker that loses what it acknowledged. Default 10 minutes; must be well over
    /// the broker's sync interval (2 minutes by default).
    pub durability_horizon: Duration,
    /// How long a relay that died keeps others from publishing. Default 5 s.
    pub lease: Duration,
    /// How often the broker is asked whether it still has what it acknowledged, when nothing makes it urgent. Default 30 s.
    pub verify_every: Duration,
    /// Longest pause between two looks at an empty outbox. A commit in this process ends it at once. Default 500 ms.
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

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Publishes one database's outbox to one bus.
#[derive(Debug)]
pub struct Relay<DB: Database, B: Bus> {
    db: Db<DB>,
    bus: B,
    config: Config,
    owner: String,
    lease_until: i64,
    stream: Option<StreamState>,
    verified_at: i64,
    pruned_at: i64,
    /// When timers were looked at last.
    timers_at: i64,
    /// How many rows to read at once.
    read_max: i64,
    reconnects: u64,
}

/// So many rows are published, and then recorded while the next are being published.
const CHUNK: usize = 512;

/// What the broker said about some rows, not recorded yet.
#[derive(Debug, Default)]
struct Answers {
    sent: Vec<Sent>,
    refused: Vec<Refused>,
    failure: Option<PublishError>,
}

impl<DB: Database, B: Bus> Relay<DB, B> {
    /// A relay that has done nothing yet.
    pub fn new(db: Db<DB>, bus: B, config: Config) -> Self {
        let owner = pavane_contract::EventId::new(db.clock()).to_string();
        let reconnects = bus.health().reconnects;
        Self {
            db,
            bus,
            config,
            owner,
            lease_until: i64::MIN,
            stream: None,
            verified_at: i64::MIN,
            pruned_at: 0,
            timers_at: i64::MIN,
            read_max: 64,
            reconnects,
        }
    }

    /// Publishes one batch, if this relay is the one to do so. Cancel-safe: rows are marked only after the broker's
    /// acknowledgement, and published again under the same id otherwise.
    ///
    /// # Errors
    ///
    /// When the database or the broker fails. What the broker acknowledged before the failure is marked.
    pub async fn step(&mut self) -> Result<Progress, Error> {
        let now = self.db.now();
        if !self.hold_lease(now).await? {
            return Ok(Progress::Standby);
        }
        let stream = self.verify_if_due(now).await?;
        let mut rows = self.read().await?;
        let mut next_due = None;
        if rows.is_empty() {
            next_due = self.fire_timers(now).await?;
            rows = self.read().await?;
        }
        let progress = if rows.is_empty() {
            Progress::Idle { next_due: next_due.map(|due| due.saturating_sub(now).max(0)) }
        } else {
            self.publish(rows, stream).await?
        };
        // Last, so that no event waits for it.
        self.keep_house(now).await?;
        Ok(progress)
    }

    /// Steps for ever: at once after a commit in this process or while there is more, else after a pause that grows.
    /// Stops when dropped; call [`release`](Self::release) then.
    pub async fn run(&mut self) {
        const POLL_MIN: Duration = Duration::from_millis(5);
        let mut pause = POLL_MIN;
        let mut failing = false;
        loop {
            match self.step().await {
                Ok(Progress::Sent { .. }) => {
                    if failing {
                        info!(service = self.db.service(), "the relay publishes again");
                    }
                    (pause, failing) = (POLL_MIN, false);
                    continue;
                }
                Ok(Progress::Idle { next_due }) => {
                    failing = false;
                    let due = next_due.map_or(self.config.poll_max, |due| Duration::from_micros(due.unsigned_abs()));
                    pause = (pause * 2).min(self.config.poll_max).min(due.max(POLL_MIN));
                }
                Ok(Progress::Standby) => pause = self.config.poll_max,
                Err(cause) => {
                    // Logged once per outage, not once per attempt.
                    if failing {
                        debug!(service = self.db.service(), %cause, "still failed to relay events");
                    } else {
                        warn!(service = self.db.service(), %cause, "failed to relay events; trying again");
                    }
                    (pause, failing) = ((pause * 2).min(self.config.poll_max), true);
                    tokio::time::sleep(pause).await;
                    continue;
                }
            }
            // A commit makes it worth looking at once.
            if tokio::time::timeout(pause, self.db.committed()).await.is_ok() {
                pause = POLL_MIN;
            }
        }
    }

    /// Gives the lease back, so that another instance goes on at once.
    ///
    /// # Errors
    ///
    /// When the database fails. The lease then expires by itself.
    pub async fn release(&mut self) -> Result<(), Error> {
        self.lease_until = i64::MIN;
        Ok(store::release_lease::<DB>(&mut *self.db.writer().await?, &self.owner).await?)
    }

    /// Counts what waits in the outbox.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn backlog(db: &Db<DB>) -> Result<Backlog, Error> {
        let mut conn = db.readers().acquire().await?;
        Ok(tables::backlog::<DB>(&mut conn).await?)
    }

    async fn hold_lease(&mut self, now: i64) -> Result<bool, Error> {
        let lease = micros(self.config.lease);
        // Renewed at half time; until then it is known to be ours without asking.
        if now.saturating_add(lease / 2) < self.lease_until {
            return Ok(true);
        }
        let expires_at = now.saturating_add(lease);
        let held = store::hold_lease::<DB>(&mut *self.db.writer().await?, &self.owner, now, expires_at).await?;
        self.lease_until = if held { expires_at } else { i64::MIN };
        Ok(held)
    }

    /// Reads the oldest rows: as many as fit into a limited amount of memory, going by those read before.
    async fn read(&mut self) -> Result<Vec<Unsent>, Error> {
        const BYTES_MAX: usize = 16 << 20;
        let mut conn = self.db.writer().await?;
        let rows = store::unsent::<DB>(&mut conn, self.db.dialect(), self.read_max).await?;
        if !rows.is_empty() {
            let bytes: usize = rows.iter().map(|row| row.message.payload.len()).sum();
            let fitting = i64::try_from(BYTES_MAX / (bytes / rows.len() + 1)).unwrap_or(i64::MAX);
            self.read_max = fitting.min(2 * self.read_max).min(i64::from(self.config.batch_max)).max(1);
        }
        Ok(rows)
    }

    /// Moves due timers to the outbox. Returns when the next one is due.
    async fn fire_timers(&mut self, now: i64) -> Result<Option<i64>, Error> {
        self.timers_at = now;
        let due = tables::next_due::<DB>(&mut *self.db.writer().await?).await?;
        if due.is_some_and(|due| due <= now) {
            let mut tx = self.db.begin_plain().await?;
            let limit = i64::from(self.config.batch_max);
            tables::fire_timers::<DB>(&mut tx, self.db.dialect(), now, limit).await?;
            tx.commit().await?;
        }
        Ok(due)
    }

    /// What is to be done now and then, however busy the relay is.
    async fn keep_house(&mut self, now: i64) -> Result<(), Error> {
        const TIMERS_EVERY: i64 = 100_000;
        if now >= self.timers_at.saturating_add(TIMERS_EVERY) {
            self.fire_timers(now).await?;
        }
        self.prune_if_due(now).await
    }

    /// Publishes rows a chunk at a time, and records each chunk while the next one is being published.
    async fn publish(&mut self, rows: Vec<Unsent>, stream: StreamState) -> Result<Progress, Error> {
        let (mut sent, mut refused) = (0, 0);
        let mut answers = Answers::default();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() && answers.failure.is_none() && self.hold_lease(self.db.now()).await? {
            let (seqs, messages): (Vec<_>, Vec<_>) =
                rows.by_ref().take(CHUNK).map(|row| (row.seq, row.message)).unzip();
            self.db.crash_point(CrashPoint::BeforePublish).await;
            let (outcomes, recorded) = tokio::join!(self.bus.publish(messages), self.record(&answers, stream));
            self.db.crash_point(CrashPoint::AfterPublish).await;
            if !recorded? {
                self.lease_until = i64::MIN;
                return Ok(Progress::Sent { sent, refused });
            }
            if self.bus.health().reconnects != self.reconnects {
                // The connection was lost meanwhile, and the broker may have lost what it had acknowledged: look first, at
                // the next step. What it still has is a duplicate to it.
                return Ok(Progress::Sent { sent, refused });
            }
            answers = Answers::of(seqs.into_iter().zip(outcomes));
            (sent, refused) = (sent + answers.sent.len(), refused + answers.refused.len());
        }
        if !self.record(&answers, stream).await? {
            // Somebody else has the lease now.
            self.lease_until = i64::MIN;
        }
        self.db.crash_point(CrashPoint::AfterMark).await;
        match answers.failure {
            Some(cause) => Err(cause.into()),
            None => Ok(Progress::Sent { sent, refused }),
        }
    }

    /// Records what the broker said. `false` when somebody else has the lease.
    async fn record(&self, answers: &Answers, stream: StreamState) -> Result<bool, Error> {
        let count = |name, rows: usize| {
            if rows > 0 {
                metrics::counter!(name, "service" => self.db.service().to_owned()).increment(rows as u64);
            }
        };
        count(metric::PUBLISHED, answers.sent.len());
        count(metric::REFUSED, answers.refused.len());
        if !answers.refused.is_empty() {
            store::mark_refused(&self.db, &answers.refused).await?;
        }
        if answers.sent.is_empty() {
            return Ok(true);
        }
        let acknowledged = (answers.sent.as_slice(), stream.created.as_microsecond());
        Ok(store::mark_sent(&self.db, &self.owner, acknowledged).await?)
    }
}

impl Answers {
    fn of(outcomes: impl Iterator<Item = (i64, Result<Receipt, PublishError>)>) -> Self {
        let mut answers = Self::default();
        for (seq, outcome) in outcomes {
            match outcome {
                Ok(receipt) => answers.sent.push((seq, i64::try_from(receipt.sequence).unwrap_or(i64::MAX))),
                Err(PublishError::Refused(why)) => {
                    error!(outbox_seq = seq, why, "the broker refuses an event for good");
                    answers.refused.push((seq, why));
                }
                Err(cause) => answers.failure = answers.failure.or(Some(cause)),
            }
        }
        answers
    }
}
