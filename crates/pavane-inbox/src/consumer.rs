//! The idempotent consumer: takes events from a durable consumer, runs a reaction on them, and settles them.
//!
//! Events with the same key are handled one after another; others at once, up to the reaction's concurrency. Events that wait
//! while all runs are busy become the next batch: one event when idle, many under load.

mod outage;
mod settling;

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use pavane_bus::{Bus, Delivery, Subscription};
use pavane_outbox::{Database, Db};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};
use tracing::{Instrument as _, debug_span, warn};

use crate::{
    dead_letter::Publisher,
    engine::{Arrived, Engine, Lacks, Lane, Settlement},
    metric,
    waiting::{self, Waiting},
    wiring::{Part, Wired},
};

use outage::Outage;
pub(crate) use settling::{alive, check_payload_max, settle};
use settling::{send_heartbeat, settle_all};

/// Why a consumer stopped. Each reads after "failed to consume events: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bus is unavailable, or the durable consumer is gone.
    #[error(transparent)]
    Bus(#[from] pavane_bus::Error),
    /// An event could be accepted that can't be redriven, because it would be too large for the server.
    #[error(
        "payload_max of {reaction:?} is {payload_max} bytes, and the server takes {limit} in a message, headers included: use \
         {} or less, or raise the server's max_payload", limit / 16 * 15
    )]
    PayloadMax {
        /// The reaction.
        reaction: String,
        /// The setting.
        payload_max: usize,
        /// The server's limit.
        limit: usize,
    },
    /// A run panicked outside a handler. Open the consumer again; the run's events are delivered again.
    #[error("a run ended unexpectedly: {0}")]
    Crashed(String),
}

impl Error {
    /// Whether it may pass by itself: the bus is unavailable right now.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Bus(error) => error.is_passing(),
            Self::Crashed(_) | Self::PayloadMax { .. } => false,
        }
    }
}

/// Runs one reaction of one service.
pub struct Consumer<S, DB: Database, B: Bus> {
    engine: Arc<Engine<S, DB, B>>,
    subscription: B::Subscription,
    /// Of an undo: the triggers that wait for its step.
    waiting: Option<Waiting>,
    /// Events that wait for their lane or for a free run.
    queue: VecDeque<Arrived>,
    /// The lanes of the events that are being handled.
    lanes: HashSet<Lane>,
    running: JoinSet<Finished>,
    in_hand: usize,
    outage: Outage,
}

/// The result of a run.
struct Finished {
    lanes: Vec<Lane>,
    events: usize,
    lacks: Lacks,
}

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Consumer<S, DB, B> {
    /// Opens the reaction's durable consumer, creating it when it doesn't exist.
    ///
    /// # Errors
    ///
    /// When the bus is unavailable, the consumer exists with another configuration, or a setting isn't one for this server.
    pub async fn open(wired: Arc<Wired<S, DB>>, state: Arc<S>, db: Db<DB>, bus: B) -> Result<Self, Error> {
        check_payload_max(&bus, &wired.name, &wired.reaction.tuning)?;
        let engine = Engine { wired, state, db, bus };
        let subscription = engine.bus.subscribe(&engine.wired.consumer(engine.db.dialect())).await?;
        let is_undo = matches!(engine.wired.part, Part::Undo { .. });
        let waiting = is_undo.then(|| Waiting::new(Arc::clone(&engine.wired.step_ended)));
        Ok(Self {
            engine: Arc::new(engine),
            subscription,
            waiting,
            queue: VecDeque::new(),
            lanes: HashSet::new(),
            running: JoinSet::new(),
            in_hand: 0,
            outage: Outage::default(),
        })
    }

    /// Opens the durable consumer again, after it was lost. Events that were in hand are delivered again.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open). Call it again, later.
    pub async fn reopen(&mut self) -> Result<(), Error> {
        self.running.shutdown().await;
        self.queue.clear();
        self.lanes.clear();
        self.in_hand = 0;
        self.subscription = self.engine.bus.subscribe(&self.engine.wired.consumer(self.engine.db.dialect())).await?;
        Ok(())
    }

    /// The publisher of the service's dead letters. One in each process is enough.
    pub fn dead_letters(&self) -> Publisher<DB, B> {
        let engine = &self.engine;
        Publisher::new(engine.db.clone(), engine.bus.clone(), Arc::clone(&engine.wired.letter_kept))
    }

    /// The reaction's name.
    pub fn name(&self) -> &str {
        &self.engine.wired.name
    }

    /// Waits for the next thing to happen (events arrive, a run ends, a pause ends) and handles it. Cancel-safe.
    ///
    /// # Errors
    ///
    /// When the durable consumer is gone for good.
    pub async fn turn(&mut self) -> Result<(), Error> {
        const OUTBOX_FULL: Duration = Duration::from_secs(1);
        if self.outage.paused_until.is_none() && self.engine.db.check_room().is_err() {
            // Not a failure: no attempt is counted, and the events in hand stay here.
            self.outage.paused_until = Some(Instant::now() + OUTBOX_FULL);
        }
        self.start_runs();
        let credits =
            self.outage.limited(self.engine.wired.credits(self.engine.db.dialect())).saturating_sub(self.in_hand);
        let heartbeat_every = self.engine.wired.reaction.tuning.ack_wait / 3;
        let pause = self.outage.paused_until;
        let waiting = self.waiting.as_ref().filter(|_| credits > 0 && pause.is_none());
        tokio::select! {
            biased;
            Some(finished) = self.running.join_next() => self.finish(finished).await?,
            () = async { tokio::time::sleep_until(pause.unwrap_or_else(Instant::now)).await }, if pause.is_some() => {
                self.end_pause().await;
            }
            () = async { if let Some(waiting) = waiting { waiting.changed().await } }, if waiting.is_some() => {
                self.take_waiting(credits).await;
            }
            deliveries = self.subscription.receive(credits), if credits > 0 && pause.is_none() => {
                let deliveries = deliveries?;
                self.enqueue(deliveries);
            }
            () = tokio::time::sleep(heartbeat_every), if !self.queue.is_empty() => {
                for waiting in &self.queue {
                    send_heartbeat(&waiting.delivery).await;
                }
            }
        }
        Ok(())
    }

    /// See [`internal::turn_now`](crate::internal::turn_now).
    pub(crate) async fn turn_now(&mut self, batch_max: usize) -> Result<usize, Error> {
        let credits = self.outage.limited(batch_max).saturating_sub(self.queue.len());
        if let Some(deliveries) = self.subscription.receive(credits).now_or_never() {
            self.enqueue(deliveries?);
        }
        self.take_waiting(batch_max.saturating_sub(self.queue.len())).await;
        let mut batch = self.take_batch();
        let events = batch.len();
        if events > 0 {
            self.engine.fetch_letters(&mut batch).await;
            let handled = self.engine.run(&batch, self.outage.failures).await;
            let lacks = handled.lacks;
            settle_all(&self.engine, batch, handled).await;
            self.finish(Ok(Finished { lanes: Vec::new(), events, lacks })).await?;
        }
        Ok(events)
    }

    /// Stops taking events, lets running handlers end, returns the waiting events to the broker, and makes sure that the broker
    /// has seen all acks.
    ///
    /// # Errors
    ///
    /// When the broker doesn't answer. Some events are then delivered again, and skipped.
    pub async fn drain(mut self, patience: Duration) -> Result<(), Error> {
        for arrived in self.queue.drain(..) {
            settle(arrived.delivery, Settlement::Again { after: Duration::ZERO }).await;
        }
        let ended = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, ended).await.is_err() {
            warn!(
                reaction = self.engine.wired.name,
                ?patience,
                "handlers still run at shutdown; their events are delivered again"
            );
            self.running.abort_all();
        }
        Ok(self.subscription.close().await?)
    }

    /// See [`internal::next_due`](crate::internal::next_due).
    pub(crate) async fn next_due(&self) -> Result<Option<Duration>, pavane_outbox::Error> {
        if self.waiting.is_none() {
            return Ok(None);
        }
        waiting::next_due(&self.engine.db, &self.engine.wired.name).await
    }

    /// Takes waiting undos whose step is no longer running.
    async fn take_waiting(&mut self, credits: usize) {
        let Some(waiting) = self.waiting.as_mut().filter(|_| credits > 0) else { return };
        let arrived = waiting.take(&self.engine, credits).await;
        self.in_hand += arrived.len();
        self.queue.extend(arrived);
    }

    fn enqueue(&mut self, deliveries: Vec<Delivery>) {
        let payload_max = self.engine.wired.reaction.tuning.payload_max;
        self.in_hand += deliveries.len();
        self.queue.extend(deliveries.into_iter().map(|delivery| Arrived::read(delivery, payload_max)));
    }

    /// Starts as many runs as there is room for.
    fn start_runs(&mut self) {
        while self.running.len() < self.room() {
            let batch = self.take_batch();
            if batch.is_empty() {
                return;
            }
            let lanes: Vec<_> = batch.iter().map(|arrived| arrived.lane).collect();
            self.lanes.extend(&lanes);
            let (engine, outages) = (Arc::clone(&self.engine), self.outage.failures);
            let span = debug_span!(
                "react",
                service = engine.wired.service,
                reaction = engine.wired.name,
                events = batch.len()
            );
            self.running.spawn(run(engine, batch, lanes, outages).instrument(span));
        }
    }

    /// How many runs may be active: one as a probe while something is unavailable, none during a pause.
    fn room(&self) -> usize {
        if self.outage.paused_until.is_some() {
            0
        } else {
            self.outage.limited(self.engine.wired.concurrency(self.engine.db.dialect()))
        }
    }

    /// Takes the oldest waiting events whose keys are free. Events of one key stay together and in order.
    fn take_batch(&mut self) -> Vec<Arrived> {
        let most = self.outage.limited(self.engine.wired.batch_max());
        let mut batch: Vec<Arrived> = Vec::new();
        // Lanes seen in this pass whose events must wait for an earlier one.
        let mut behind: HashSet<Lane> = HashSet::new();
        let mut index = 0;
        while index < self.queue.len() && batch.len() < most {
            let lane = self.queue[index].lane;
            if self.lanes.contains(&lane) || behind.contains(&lane) {
                behind.insert(lane);
                index += 1;
            } else {
                batch.extend(self.queue.remove(index));
            }
        }
        // In key order, so that the batches of two reactions lock shared rows in the same order. The sort is stable: events of
        // one key keep their order.
        batch.sort_by(|one, other| one.key().cmp(other.key()));
        batch
    }

    async fn finish(&mut self, finished: Result<Finished, JoinError>) -> Result<(), Error> {
        // A handler's panic is caught where it happens, so this one is the framework's. The lanes that the run held are unknown.
        let finished = finished.map_err(|error| Error::Crashed(error.to_string()))?;
        for lane in &finished.lanes {
            self.lanes.remove(lane);
        }
        self.in_hand -= finished.events;
        self.note(finished.lacks).await;
        Ok(())
    }
}

async fn run<S: Send + Sync + 'static, DB: Database, B: Bus>(
    engine: Arc<Engine<S, DB, B>>,
    mut batch: Vec<Arrived>,
    lanes: Vec<Lane>,
    outages: u32,
) -> Finished {
    let events = batch.len();
    let started = Instant::now();
    engine.fetch_letters(&mut batch).await;
    let handled = alive(engine.wired.reaction.tuning.ack_wait, &batch, engine.run(&batch, outages)).await;
    let lacks = handled.lacks;
    settle_all(&engine, batch, handled).await;
    let (service, reaction) = (engine.wired.service.clone(), engine.wired.name.clone());
    metrics::histogram!(metric::HANDLER_SECONDS, "service" => service, "reaction" => reaction)
        .record(started.elapsed().as_secs_f64());
    Finished { lanes, events, lacks }
}

impl<S, DB: Database, B: Bus> fmt::Debug for Consumer<S, DB, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("in_hand", &self.in_hand).field("outage", &self.outage).finish_non_exhaustive()
    }
}
