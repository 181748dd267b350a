//! The relay: publishes what committed transactions left in the outbox.
//!
//! One relay publishes per database, whatever the number of instances: a lease in the database says which. Rows go out
//! in the order of their commits, pipelined, under the event's id as message id; a row is marked once the broker has
//! acknowledged it, and kept until the durability horizon has passed, because an acknowledgement does not mean that the
//! broker has flushed it to disk. Whenever the connection was lost, and now and then anyway, the relay looks whether the
//! broker still has what it acknowledged, and publishes again what it lost.

mod durability;

use std::time::Duration;

use pavane_bus::{Bus, Outgoing, PublishError, Receipt, StreamState};
use tracing::{debug, error, info, warn};

use crate::{
    Backlog, CrashPoint, Database, Db, Error as StoreError,
    db::micros,
    metric,
    store::{self, Unsent},
};

/// How the relay works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Most rows published in one step. Default 512.
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
            batch_max: 512,
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
    reconnects: u64,
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
        self.prune_if_due(now).await?;
        let rows = self.take(now).await?;
        if rows.is_empty() {
            let next_due = store::next_due::<DB>(&mut *self.db.writer().await?).await?;
            return Ok(Progress::Idle { next_due: next_due.map(|due| due.saturating_sub(now).max(0)) });
        }
        let outgoing = rows.iter().map(outgoing).collect();
        let outcomes = self.bus.publish(outgoing).await;
        self.db.crash_point(CrashPoint::AfterPublish).await;
        let progress = self.record(&rows, outcomes, stream).await;
        self.db.crash_point(CrashPoint::AfterMark).await;
        progress
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
        Ok(store::backlog::<DB>(&mut conn).await?)
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

    /// Moves due timers to the outbox and reads its oldest rows.
    async fn take(&mut self, now: i64) -> Result<Vec<Unsent>, Error> {
        let (dialect, limit) = (self.db.dialect(), i64::from(self.config.batch_max));
        let mut conn = self.db.writer().await?;
        let due = store::next_due::<DB>(&mut conn).await?;
        drop(conn);
        if due.is_some_and(|due| due <= now) {
            let mut tx = self.db.begin_plain().await?;
            store::fire_timers::<DB>(&mut tx, dialect, now, limit).await?;
            tx.commit().await?;
        }
        Ok(store::unsent::<DB>(&mut *self.db.writer().await?, dialect, limit).await?)
    }

    async fn record(
        &mut self,
        rows: &[Unsent],
        outcomes: Vec<Result<Receipt, PublishError>>,
        stream: StreamState,
    ) -> Result<Progress, Error> {
        let (mut sent, mut refused, mut failure) = (Vec::new(), Vec::new(), None);
        for (row, outcome) in rows.iter().zip(outcomes) {
            match outcome {
                Ok(receipt) => sent.push((row.seq, receipt.sequence)),
                Err(PublishError::Refused(why)) => {
                    error!(event_id = row.event_id, subject = row.subject, why, "the broker refuses an event for good");
                    refused.push((row.seq, why));
                }
                Err(cause) => failure = failure.or(Some(cause)),
            }
        }
        let service = || self.db.service().to_owned();
        metrics::counter!(metric::PUBLISHED, "service" => service()).increment(sent.len() as u64);
        metrics::counter!(metric::REFUSED, "service" => service()).increment(refused.len() as u64);
        let (dialect, now) = (self.db.dialect(), self.db.now());
        let mut conn = self.db.writer().await?;
        if !sent.is_empty() {
            store::mark_sent::<DB>(&mut conn, dialect, &sent, stream.created.as_microsecond(), now).await?;
        }
        if !refused.is_empty() {
            store::mark_refused::<DB>(&mut conn, dialect, &refused).await?;
        }
        match failure {
            Some(cause) => Err(cause.into()),
            None => Ok(Progress::Sent { sent: sent.len(), refused: refused.len() }),
        }
    }
}

fn outgoing(row: &Unsent) -> Outgoing {
    Outgoing {
        subject: row.subject.clone(),
        headers: row.headers.clone(),
        payload: row.payload.clone().into(),
        message_id: row.event_id.clone(),
    }
}
