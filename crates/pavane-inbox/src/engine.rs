//! Runs a reaction on events: in batches, and one by one where a batch fails.
//!
//! For each event: dedupe, ledger, handle; for all of them one commit; then the acks. Nothing here waits or retries: the engine
//! decides about each event, and the [consumer](crate::consumer) settles it.

mod arrived;
mod effect;
mod failed;
mod item;
mod join;
mod local;
mod redrive;

use std::{borrow::Cow, future::Future, sync::Arc, time::Duration};

use pavane_bus::Bus;
use pavane_choreography::ledger::State;
use pavane_contract::{Cause, EventId, RawEnvelope};
use pavane_outbox::{Correlation, Database, Db, Tx, internal};
use tracing::{Span, warn};

pub(crate) use arrived::{Arrived, Lane, Unusable};
pub(crate) use failed::full_jitter;
pub(crate) use redrive::fetch_letter;

use crate::{
    dead_letter,
    handler::{HandlerError, Kind, Overdue},
    store,
    wiring::{Part, Wired},
};

/// What is to be done with a delivery.
#[derive(Debug)]
pub(crate) enum Settlement {
    /// Ack it: it is committed, or was before.
    Done,
    /// Deliver it again later.
    Again { after: Duration },
    /// End it: the reaction gave up, and the dead letter is committed.
    Dead { reason: String },
}

/// The result of one run.
#[derive(Debug)]
pub(crate) struct Run {
    /// In the order of the events.
    pub(crate) settlements: Vec<Settlement>,
    /// What was missing: the consumer may have to pause.
    pub(crate) lacks: Lacks,
}

/// Why an event, or its batch, wasn't handled.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The handler failed, or something that it needs isn't there.
    Handler(HandlerError),
    /// An undo came while its step is running: nobody knows yet whether there is something to undo.
    StepRunning,
    /// An undo comes after another undo, of this step.
    Early { before: String },
}

/// What a run lacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lacks {
    /// Nothing: events were handled, or failed by themselves.
    Nothing,
    /// Something that a handler needs; other events may not need it.
    Something,
    /// The database, without which no event can be handled.
    Database,
}

impl<E: Into<HandlerError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Handler(error.into())
    }
}

impl Failure {
    fn lacks(&self) -> Lacks {
        match self {
            Self::Handler(error) if error.is_databases() => Lacks::Database,
            Self::Handler(error) if error.is_unavailable() => Lacks::Something,
            Self::Handler(_) | Self::StepRunning | Self::Early { .. } => Lacks::Nothing,
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Handler(error) if error.kind() == Kind::Conflict)
    }

    /// Whether a handler ended the transaction itself.
    fn is_ended(&self) -> bool {
        matches!(self, Self::Handler(error) if matches!(error.outbox(), Some(pavane_outbox::Error::Ended)))
    }
}

/// One reaction of one service, with everything that it needs to run.
pub(crate) struct Engine<S, DB: Database, B: Bus> {
    pub(crate) wired: Arc<Wired<S, DB>>,
    pub(crate) state: Arc<S>,
    pub(crate) db: Db<DB>,
    pub(crate) bus: B,
}

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Engine<S, DB, B> {
    /// Handles events that may share one transaction, and decides about each.
    pub(crate) async fn run(&self, batch: &[Arrived], outages: u32) -> Run {
        let (mut ended, mut lacks) = (false, Lacks::Nothing);
        if batch.len() > 1 && !self.wired.reaction.has_effect() {
            match self.all_at_once(batch).await {
                Some(Ok(())) => {
                    let settlements = batch.iter().map(|_| Settlement::Done).collect();
                    return Run { settlements, lacks };
                }
                Some(Err(Failure::Handler(error))) if error.is_databases() => {
                    self.distrust_after(&error);
                    warn!(reaction = self.wired.name, events = batch.len(), %error, "unavailable; trying again");
                    lacks = Lacks::Database;
                }
                Some(Err(failure)) => ended = failure.is_ended(),
                None => {}
            }
        }
        // One by one, only the failing event is affected. Without a database none can be handled, and each would wait for it.
        let mut settlements = Vec::with_capacity(batch.len());
        for arrived in batch {
            if lacks == Lacks::Database {
                settlements.push(self.again_after_outage(outages));
                continue;
            }
            let (settlement, lacked) = match self.marked_without_us(arrived, ended).await {
                Ok(None) => self.one(arrived, outages).await,
                Ok(Some((event, failure))) => (self.failed(arrived, event, failure, outages).await, Lacks::Nothing),
                Err(failure) => (self.not_known(&failure, outages), Lacks::Database),
            };
            lacks = lacks.max(lacked);
            settlements.push(settlement);
        }
        Run { settlements, lacks }
    }

    async fn one(&self, arrived: &Arrived, outages: u32) -> (Settlement, Lacks) {
        if let Err(Unusable::NotFetched) = arrived.event {
            return (self.again_after_outage(outages), Lacks::Something);
        }
        let Some(event) = self.accepts(arrived) else {
            let settlement = self.refuse(arrived, outages).await;
            let lacks = if matches!(settlement, Settlement::Again { .. }) { Lacks::Database } else { Lacks::Nothing };
            return (settlement, lacks);
        };
        let result = match self.forget_if_redriven(arrived, event).await {
            Err(error) => Err(error.into()),
            Ok(()) => self.unless_in_conflict(event).await,
        };
        match result {
            Ok(()) => (Settlement::Done, Lacks::Nothing),
            Err(failure) => {
                let lacks = failure.lacks();
                (self.failed(arrived, event, failure, outages).await, lacks)
            }
        }
    }

    /// Handles a whole batch in one transaction. If one event fails, the batch does, and nothing of it is committed. `None` when
    /// the events can't share a transaction.
    async fn all_at_once(&self, batch: &[Arrived]) -> Option<Result<(), Failure>> {
        let acceptable = |arrived: &&Arrived| !arrived.is_redriven && self.accepts(arrived).is_some();
        let events: Vec<_> = batch.iter().take_while(acceptable).filter_map(|arrived| self.accepts(arrived)).collect();
        if events.len() < batch.len() { None } else { Some(self.local(&events).await) }
    }

    /// The event, if a handler of its batch committed the transaction itself and so marked it as handled. What it emitted is
    /// lost, and it can't be handled again, so a person has to see it.
    async fn marked_without_us<'a>(
        &self,
        arrived: &'a Arrived,
        ended: bool,
    ) -> Result<Option<(&'a RawEnvelope, Failure)>, Failure> {
        let Some(event) = self.accepts(arrived).filter(|_| ended) else { return Ok(None) };
        let marked = self.db.within(store::is_handled(&self.db, &self.wired.name, event.meta.id)).await?;
        Ok(marked.then(|| (event, pavane_outbox::Error::Ended.into())))
    }

    /// Handles one event, and at once again where the database rolled it back in favour of another transaction.
    async fn unless_in_conflict(&self, event: &RawEnvelope) -> Result<(), Failure> {
        /// Ten in a row are not chance any more.
        const CONFLICTS: usize = 10;
        let mut handled = Ok(());
        for _ in 0..CONFLICTS {
            handled = if self.wired.reaction.has_effect() {
                Box::pin(self.effect(event)).await
            } else {
                self.local(&[event]).await
            };
            if !matches!(&handled, Err(failure) if failure.is_conflict()) {
                break;
            }
        }
        handled
    }

    /// The event, if it could be read and the reaction runs on it.
    fn accepts<'a>(&self, arrived: &'a Arrived) -> Option<&'a RawEnvelope> {
        arrived.event.as_ref().ok().filter(|event| self.wired.runs_on(event))
    }

    /// A redrive is a person's decision to try again: earlier failures no longer count, and the event is no longer given up on.
    /// Except where this very redrive was given up on: then it was delivered again because its ack got lost.
    async fn forget_if_redriven(&self, arrived: &Arrived, event: &RawEnvelope) -> Result<(), HandlerError> {
        if !arrived.is_redriven {
            return Ok(());
        }
        let forget = async {
            let mut tx = self.begin(event).await?;
            let message = dead_letter::identity(&arrived.delivery);
            store::forget_giving_up(&mut tx, &self.wired.name, event.meta.id, &message).await?;
            tx.commit().await
        };
        Ok(self.db.within(forget).await?)
    }

    /// Steps, undos and joins depend on what the ledger has of the saga. Of a saga that is older than the ledger's memory it has
    /// nothing, which must not be taken for "nothing was done".
    async fn check_remembered(&self, conn: &mut DB::Connection, event: &RawEnvelope) -> Result<(), HandlerError> {
        match self.wired.part {
            Part::Plain if !self.wired.is_join() => Ok(()),
            Part::Plain | Part::Step { .. } | Part::Undo { .. } => {
                Ok(self.db.check_remembered(conn, &event.meta.cause).await?)
            }
        }
    }

    async fn begin(&self, event: &RawEnvelope) -> Result<Tx<DB>, pavane_outbox::Error> {
        let mut tx = self.db.begin(Correlation::caused_by(event), self.wired.emissions.clone()).await?;
        if self.wired.is_per_item() {
            internal::enter(&mut tx, self.cause_of(event), self.wired.emissions.clone());
        }
        Ok(tx)
    }

    pub(crate) async fn timed<T>(
        &self,
        work: impl Future<Output = Result<T, HandlerError>>,
    ) -> Result<T, HandlerError> {
        let limit = self.wired.reaction.tuning.timeout;
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(HandlerError::transient(Overdue(limit))),
        }
    }

    /// Why a handler failed in a transaction. If its timeout ended, it may have waited for a database that doesn't answer.
    async fn blame(&self, tx: &mut Tx<DB>, error: HandlerError) -> HandlerError {
        if !error.is_overdue() {
            return error;
        }
        self.db.within(internal::prove(tx)).await.map_or_else(HandlerError::from, |()| error)
    }
}

/// The events that a handler is given, and the cause of what it emits.
struct Task<'e> {
    /// One, or those of a join.
    given: Cow<'e, [RawEnvelope]>,
    cause: Cause,
}

/// Fails where a step is running or done for another event of the saga. That event would be skipped silently otherwise.
fn check_same_event(step: &store::Step, event: EventId) -> Result<(), HandlerError> {
    match (step.state, step.event_id) {
        (State::Gathering, _) => Err(HandlerError::reject(
            "the saga has this step as a join that lacks events, or with items: let the sagas in flight end before that changes",
        )),
        (State::Running | State::Done, Some(other)) if other != event => Err(HandlerError::reject(format!(
            "the saga has this step already, on the event {other}: a step runs once a saga, or once for each item"
        ))),
        _ => Ok(()),
    }
}

/// Records in a span that its work failed.
fn failing<T, E>(span: &Span, result: Result<T, E>) -> Result<T, E> {
    if result.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    result
}
