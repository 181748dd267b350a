//! Undos that wait for their step, or for another undo: in the database, so that they don't fill the consumer's pending window.
//!
//! A second source of deliveries beside the bus, settled in the same way: an ack deletes the row, a retry makes it due later,
//! and a row that was taken and not settled is due again after the ack wait.

pub(crate) mod store;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use pavane_bus::{Bus, Delivery, Error, Settle};
use pavane_contract::RawEnvelope;
use pavane_outbox::{Correlation, Database, Db, Emissions, chain};
use tokio::{sync::Notify, time::Instant};
use tracing::{debug, warn};

use crate::{
    engine::{Arrived, Engine, Settlement},
    store as ledger,
    wiring::{Part, Wired},
};

/// How often an instance looks for undos whose step ended in another instance.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The undos of a service that wait for a running step, or for another undo.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingUndos {
    /// How many undos.
    pub count: i64,
    /// How long the oldest of them has waited.
    pub longest: Duration,
}

/// Counts the undos that wait for their step, or for another undo, in a service's database.
///
/// # Errors
///
/// When the database fails.
pub async fn waiting_undos<DB: Database>(db: &Db<DB>) -> Result<WaitingUndos, pavane_outbox::Error> {
    let (count, longest) = store::count(db).await?;
    Ok(WaitingUndos { count, longest: duration(longest.unwrap_or(0)) })
}

/// The undos of one reaction that wait for their step.
pub(crate) struct Waiting {
    step_ended: Arc<Notify>,
    /// When to look for undos whose step ended in another instance.
    look_at: Instant,
}

impl Waiting {
    pub(crate) fn new(step_ended: Arc<Notify>) -> Self {
        Self { step_ended, look_at: Instant::now() }
    }

    /// Waits until there may be something to take. Cancel-safe.
    pub(crate) async fn changed(&self) {
        tokio::select! {
            () = self.step_ended.notified() => {}
            () = tokio::time::sleep_until(self.look_at) => {}
        }
    }

    /// Takes up to `limit` undos whose step is no longer running.
    pub(crate) async fn take<S, DB: Database, B: Bus>(
        &mut self,
        engine: &Engine<S, DB, B>,
        limit: usize,
    ) -> Vec<Arrived> {
        self.look_at = Instant::now() + LOOK_EVERY;
        let (reaction, tuning) = (&engine.wired.name, &engine.wired.reaction.tuning);
        let taken = match engine.db.within(store::take(&engine.db, reaction, tuning.ack_wait, limit)).await {
            Ok(taken) => taken,
            Err(error) => {
                // As with the bus: what can't be received now is received later.
                warn!(
                    reaction,
                    error = chain(&error),
                    "failed to look for undos that wait for their step; looking again"
                );
                return Vec::new();
            }
        };
        let arrived = |row: store::Row| {
            let kept =
                Kept { db: engine.db.clone(), reaction: reaction.clone(), event: row.event, wait: tuning.ack_wait };
            let mut arrived =
                Arrived::read(Delivery::new(row.message, row.taken, row.sequence, kept), tuning.payload_max);
            arrived.is_local = true;
            arrived
        };
        taken.into_iter().map(arrived).collect()
    }
}

/// How long until the next undo of a reaction is due whose step is not running; `None` when there is none.
pub(crate) async fn next_due<DB: Database>(
    db: &Db<DB>,
    reaction: &str,
) -> Result<Option<Duration>, pavane_outbox::Error> {
    let due = store::next_due(db, reaction).await?;
    // At least a moment: it may be due already, and be handled by another instance.
    Ok(due.map(|due| duration(due).max(Duration::from_millis(50))))
}

/// So many microseconds; none of a time that is past.
fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// Stores an undo until its step has ended or, where another undo comes `before` it, until that one's step is undone or barred.
/// `None` for another reaction, and for an undo that is stored already.
pub(crate) async fn wait_for_step<S: Send + Sync + 'static, DB: Database>(
    db: &Db<DB>,
    wired: &Wired<S, DB>,
    arrived: &Arrived,
    (event, before): (&RawEnvelope, Option<&str>),
) -> Result<Option<Settlement>, pavane_outbox::Error> {
    let Part::Undo { step } = &wired.part else { return Ok(None) };
    if arrived.is_local {
        // It waited for one thing, and now waits for another.
        store::wait_for(db, &wired.name, event.meta.id, (before.unwrap_or(step), before.is_some())).await?;
        return Ok(None);
    }
    let mut tx = db.begin(Correlation::caused_by(event), Emissions::nothing(&wired.name)).await?;
    if wired.is_per_item() {
        // Or new items would start as long as it waits.
        ledger::bar_whole(&mut tx, step, &[event.meta.cause.saga]).await?;
    }
    store::keep(&mut tx, &wired.name, (before.unwrap_or(step), before.is_some()), (event, &arrived.delivery)).await?;
    tx.commit().await?;
    debug!(event_id = %event.meta.id, reaction = wired.name, step, before, "the undo waits for a step");
    // The step may have ended before the undo was stored.
    wired.step_ended.notify_one();
    Ok(Some(Settlement::Done))
}

/// Settles a delivery from the database. Idempotent: two deliveries may be of one row.
struct Kept<DB: Database> {
    db: Db<DB>,
    reaction: String,
    event: String,
    wait: Duration,
}

type Settled<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

impl<DB: Database> Kept<DB> {
    async fn end(&self) -> Result<(), Error> {
        store::end(&self.db, &self.reaction, &self.event).await.map_err(|error| unavailable(&error))
    }

    async fn due_after(&self, delay: Duration) -> Result<(), Error> {
        store::due_after(&self.db, &self.reaction, &self.event, delay).await.map_err(|error| unavailable(&error))
    }
}

impl<DB: Database> Settle for Kept<DB> {
    fn ack(self: Box<Self>) -> Settled<'static> {
        Box::pin(async move { self.end().await })
    }

    fn retry_after(self: Box<Self>, delay: Duration) -> Settled<'static> {
        Box::pin(async move { self.due_after(delay).await })
    }

    fn reject(self: Box<Self>, _: String) -> Settled<'static> {
        Box::pin(async move { self.end().await })
    }

    fn in_progress(&self) -> Settled<'_> {
        Box::pin(self.due_after(self.wait))
    }
}

fn unavailable(error: &pavane_outbox::Error) -> Error {
    Error::Unavailable(chain(error))
}
