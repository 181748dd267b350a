//! Runs a reaction on events: in batches, and one by one where a batch fails.
//!
//! For each event: dedupe, ledger, handle; for all of them one commit; then the acks. Nothing here waits or retries: the engine
//! decides about each event, and the [consumer](crate::consumer) settles it.

mod arrived;
mod batch;
mod effect;
mod failed;
mod local;
mod redrive;

use std::{borrow::Cow, future::Future, sync::Arc, time::Duration};

use pavane_bus::Bus;
use pavane_choreography::ledger::{self, State};
use pavane_contract::{Cause, EventId, EventRef, RawEnvelope, SagaId};
use pavane_outbox::{Correlation, Database, Db, Tx, internal, trace};
use tracing::{Span, field::Empty, info_span, warn};

pub(crate) use arrived::{Arrived, Lane, Unusable};
pub(crate) use failed::full_jitter;
pub(crate) use redrive::fetch_letter;

use crate::{
    dead_letter,
    handler::{HandlerError, Kind, Overdue},
    store,
    wiring::{Part, Wired},
    work::Work,
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
            Self::Handler(_) | Self::StepRunning => Lacks::Nothing,
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

    /// The event, if it could be read and the reaction runs on it.
    fn accepts<'a>(&self, arrived: &'a Arrived) -> Option<&'a RawEnvelope> {
        let event = arrived.event.as_ref().ok()?;
        let accepted = match self.wired.part {
            Part::Undo { .. } => self.wired.reaction.triggers.contains(&event.meta.event),
            Part::Plain | Part::Step { .. } => self.work(event).is_some(),
        };
        accepted.then_some(event)
    }

    /// The handler for an event.
    fn work(&self, event: &RawEnvelope) -> Option<&Work<S, DB>> {
        let work = self.wired.reaction.work.iter();
        work.filter(|(wanted, _)| *wanted == event.meta.event).map(|(_, work)| work).next()
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

    /// Steps and undos depend on what the ledger has of the saga. Of a saga that is older than the ledger's memory it has
    /// nothing, which must not be taken for "nothing was done".
    fn check_remembered(&self, event: &RawEnvelope) -> Result<(), HandlerError> {
        match self.wired.part {
            Part::Plain => Ok(()),
            Part::Step { .. } | Part::Undo { .. } => Ok(self.db.check_remembered(&event.meta.cause)?),
        }
    }

    async fn begin(&self, event: &RawEnvelope) -> Result<Tx<DB>, pavane_outbox::Error> {
        self.db.begin(Correlation::caused_by(event), self.wired.emissions.clone()).await
    }

    /// The span of an event's handling: part of the trace of its cause.
    fn span(&self, given: &RawEnvelope, cause: &Cause) -> Span {
        let (service, reaction, event) = (&self.wired.service, &self.wired.name, &given.meta.event.name);
        let span = info_span!(
            "handle",
            otel.name = format!("process {reaction}"),
            otel.kind = "consumer",
            otel.status_code = Empty,
            service,
            reaction,
            event,
            id = %given.meta.id,
            saga = %cause.saga,
            trace = Empty,
        );
        trace::follow(&span, cause.trace.as_ref());
        trace::describe(&span, || {
            [
                ("messaging.system", "nats".to_owned()),
                ("messaging.operation.name", "process".to_owned()),
                ("messaging.operation.type", "process".to_owned()),
                ("messaging.destination.name", event.clone()),
                ("messaging.consumer.group.name", self.wired.durable()),
                ("messaging.message.id", given.meta.id.to_string()),
                ("messaging.message.conversation_id", cause.saga.to_string()),
            ]
        });
        span
    }

    /// Fails unless the handler emitted what the wiring table declares.
    fn check_emitted(&self, tx: &Tx<DB>) -> Result<(), HandlerError> {
        let emitted: Vec<_> = internal::emitted(tx).iter().map(|event| event.meta.event.clone()).collect();
        match self.emitted_again(&emitted).or_else(|| self.wired.emissions.unmet(&emitted)) {
            None => Ok(()),
            Some(why) => Err(HandlerError::reject(format!("{}: {why}", self.wired.emissions.who()))),
        }
    }

    /// The ledger keeps one event of a step for its undo, so the undo would not know of a second one.
    fn emitted_again(&self, emitted: &[EventRef]) -> Option<String> {
        let Part::Step { keeps } = &self.wired.part else { return None };
        let times = emitted.iter().filter(|event| *event == keeps).count();
        (times > 1).then(|| {
            format!(
                "it emitted {keeps}, which its undo is for, {times} times: a step keeps one event for its undo, so \
                 emit one event, or make each a step of its own"
            )
        })
    }

    /// The event of the step that its undo undoes.
    fn kept(&self, tx: &Tx<DB>) -> Option<RawEnvelope> {
        let Part::Step { keeps } = &self.wired.part else { return None };
        internal::emitted(tx).iter().find(|event| event.meta.event == *keeps).cloned()
    }

    /// Keeps what steps emitted, for their undo. A step that said no is barred instead.
    async fn keep(
        &self,
        tx: &mut Tx<DB>,
        answers: Vec<(SagaId, Option<RawEnvelope>)>,
    ) -> Result<(), pavane_outbox::Error> {
        if !matches!(self.wired.part, Part::Step { .. }) {
            return Ok(());
        }
        let (mut kept, mut barred) = (Vec::new(), Vec::new());
        for (saga, event) in answers {
            match (ledger::settle(event.is_some()), event) {
                (State::Done, Some(event)) => kept.push((saga, event)),
                _ => barred.push(saga),
            }
        }
        if !kept.is_empty() {
            store::keep(tx, &self.wired.name, &kept).await?;
        }
        if !barred.is_empty() {
            store::bar(tx, &self.wired.name, &barred).await?;
        }
        Ok(())
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

/// The event that a handler is given, and the cause of what it emits.
struct Task<'e> {
    given: Cow<'e, RawEnvelope>,
    cause: Cause,
}

/// Fails where a step is running or done for another event of the saga. That event would be skipped silently otherwise.
fn check_same_event(step: &store::Step, event: EventId) -> Result<(), HandlerError> {
    match (step.state, step.event_id) {
        (State::Running | State::Done, Some(other)) if other != event => Err(HandlerError::reject(format!(
            "the saga has this step already, on the event {other}: a step runs once a saga"
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
