use std::sync::Arc;

use pavane_bus::ConsumerConfig;
use pavane_choreography::ledger::{self, State};
use pavane_contract::{Cause, EventRef, RawEnvelope, subject};
use pavane_outbox::{Database, Dialect, Emissions, Tx, internal, trace};
use tokio::sync::Notify;
use tracing::{Span, field::Empty, info_span};

use super::{durable, redrive_filter};
use crate::{
    handler::HandlerError,
    metric,
    reaction::Reaction,
    store::{self, RowKey},
    work::Work,
};

/// A reaction's part in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// It is never undone, and undoes nothing.
    Plain,
    /// It is a step: if it emits the event `keeps`, that is kept for its undo.
    Step { keeps: EventRef },
    /// It undoes the step of this name.
    Undo { step: String },
}

/// A reaction with its name and its part, ready to run.
#[derive(Debug)]
pub struct Wired<S, DB: Database> {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) reaction: Reaction<S, DB>,
    pub(crate) part: Part,
    /// The steps that must be undone, or barred, before this undo runs.
    pub(crate) after: Vec<String>,
    pub(crate) emissions: Emissions,
    /// Notifies the service's publisher that a dead letter was written.
    pub(crate) letter_kept: Arc<Notify>,
    /// Shared by a step and its undo: notifies the undo that the step is no longer running.
    pub(crate) step_ended: Arc<Notify>,
}

impl<S: Send + Sync + 'static, DB: Database> Wired<S, DB> {
    /// The reaction's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The durable consumer's name. Wire format: under another name everything is consumed again.
    pub fn durable(&self) -> String {
        durable(&self.service, &self.name)
    }

    /// The subject of events that are redriven to this reaction only.
    pub fn redrive_filter(&self) -> String {
        redrive_filter(&self.service, &self.name)
    }

    /// The configuration of its durable consumer.
    pub(crate) fn consumer(&self, dialect: Dialect) -> ConsumerConfig {
        // An undo's trigger may have any version: only that it happened matters.
        let mut filter_subjects: Vec<_> = self.reaction.listens_to().iter().map(subject::filter).collect();
        filter_subjects.sort();
        filter_subjects.dedup();
        filter_subjects.push(self.redrive_filter());
        ConsumerConfig {
            durable: self.durable(),
            filter_subjects,
            ack_wait: self.reaction.tuning.ack_wait,
            // Room for several instances; each requests only what it can work on.
            max_ack_pending: self.credits(dialect).saturating_mul(8).max(1000),
        }
    }

    /// How many runs may be active at once.
    pub(crate) fn concurrency(&self, dialect: Dialect) -> usize {
        self.reaction.tuning.concurrency.unwrap_or(match (self.reaction.has_effect(), dialect) {
            (true, _) => 16,
            (false, Dialect::Postgres) => 4,
            (false, Dialect::Sqlite) => 1,
        })
    }

    /// Most events in one run.
    pub(crate) fn batch_max(&self) -> usize {
        // The undo of a step that has items may undo many at once.
        let undoes_items = self.is_per_item() && matches!(self.part, Part::Undo { .. });
        if self.reaction.has_effect() || undoes_items { 1 } else { self.reaction.tuning.batch_max }
    }

    /// How many events may be in hand: those of the active runs, and as many for the next batches.
    pub(crate) fn credits(&self, dialect: Dialect) -> usize {
        2 * self.concurrency(dialect) * self.batch_max()
    }

    /// Whether it is about one item of the saga each time: it runs for each, or undoes each.
    pub(crate) fn is_per_item(&self) -> bool {
        self.reaction.takes_item
    }

    /// Whether it waits for several events.
    pub(crate) fn is_join(&self) -> bool {
        !self.reaction.parts().is_empty()
    }

    /// Whether it has a row in the ledger, beside those of the steps that it undoes.
    pub(crate) fn has_row(&self) -> bool {
        self.is_join() || matches!(self.part, Part::Step { .. })
    }

    /// Whether the reaction runs on an event.
    pub(crate) fn runs_on(&self, event: &RawEnvelope) -> bool {
        match self.part {
            Part::Undo { .. } => self.reaction.triggers.contains(&event.meta.event),
            Part::Plain | Part::Step { .. } => self.work(event).is_some(),
        }
    }

    /// The handler for an event.
    pub(crate) fn work(&self, event: &RawEnvelope) -> Option<&Work<S, DB>> {
        let work = self.reaction.work.iter();
        work.filter(|(wanted, _)| *wanted == event.meta.event).map(|(_, work)| work).next()
    }

    /// The span of an event's handling: part of the trace of its cause.
    pub(crate) fn span(&self, given: &RawEnvelope, cause: &Cause) -> Span {
        let (service, reaction, event) = (&self.service, &self.name, &given.meta.event.name);
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
                ("messaging.consumer.group.name", self.durable()),
                ("messaging.message.id", given.meta.id.to_string()),
                ("messaging.message.conversation_id", cause.saga.to_string()),
            ]
        });
        span
    }

    /// Counts handled events. `result` is `handled`, `duplicate`, `gathered` or `skipped`.
    pub(crate) fn count(&self, result: &'static str, events: usize) {
        if events > 0 {
            let (service, reaction) = (self.service.clone(), self.name.clone());
            metrics::counter!(metric::HANDLED, "service" => service, "reaction" => reaction, "result" => result)
                .increment(events as u64);
        }
    }

    /// Fails unless the handler emitted what the wiring table declares.
    pub(crate) fn check_emitted(&self, tx: &Tx<DB>) -> Result<(), HandlerError> {
        let emitted: Vec<_> = internal::emitted(tx).iter().map(|event| event.meta.event.clone()).collect();
        match self.emitted_again(&emitted).or_else(|| self.emissions.unmet(&emitted)) {
            None => Ok(()),
            Some(why) => Err(HandlerError::reject(format!("{}: {why}", self.emissions.who()))),
        }
    }

    /// The ledger keeps one event of a step for its undo, so the undo would not know of a second one.
    fn emitted_again(&self, emitted: &[EventRef]) -> Option<String> {
        let Part::Step { keeps } = &self.part else { return None };
        let times = emitted.iter().filter(|event| *event == keeps).count();
        (times > 1).then(|| {
            format!(
                "it emitted {keeps}, which its undo is for, {times} times: a step keeps one event for its undo, so \
                 emit one event, or make each a step of its own"
            )
        })
    }

    /// The event of the step that its undo undoes.
    pub(crate) fn kept(&self, tx: &Tx<DB>) -> Option<RawEnvelope> {
        let Part::Step { keeps } = &self.part else { return None };
        internal::emitted(tx).iter().find(|event| event.meta.event == *keeps).cloned()
    }

    /// Keeps what steps emitted, for their undo. A step that said no is barred instead.
    pub(crate) async fn keep(
        &self,
        tx: &mut Tx<DB>,
        answers: Vec<(RowKey, Option<RawEnvelope>)>,
    ) -> Result<(), pavane_outbox::Error> {
        if !matches!(self.part, Part::Step { .. }) {
            return Ok(());
        }
        let (mut kept, mut barred) = (Vec::new(), Vec::new());
        for (row, event) in answers {
            match (ledger::settle(event.is_some()), event) {
                (State::Done, Some(event)) => kept.push((row, event)),
                _ => barred.push(row),
            }
        }
        if !kept.is_empty() {
            store::keep(tx, &self.name, &kept).await?;
        }
        if !barred.is_empty() {
            store::bar(tx, &self.name, &barred).await?;
        }
        Ok(())
    }
}
