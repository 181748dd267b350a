//! Reactions without an effect: a batch of events in one transaction.

use std::{borrow::Cow, slice};

use pavane_bus::Bus;
use pavane_choreography::ledger::{self, State, Undo};
use pavane_contract::{Item, RawEnvelope, SagaId};
use pavane_outbox::{Database, Tx, internal};
use tracing::Instrument as _;

use super::{Engine, Failure, Task, check_same_event, failing, join::Gathered};
use crate::{
    handler::HandlerError,
    store::{self, RowKey},
    wiring::Part,
    work::Work,
};

/// A transaction in which events are marked as handled, and what is to be done for them.
struct Claimed<'e, DB: Database> {
    tx: Tx<DB>,
    tasks: Vec<Task<'e>>,
    /// How many were handled before.
    duplicates: usize,
    /// How many were kept as parts of joins that lack others.
    gathered: usize,
}

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Engine<S, DB, B> {
    /// Handles events in one transaction: all of them or none.
    pub(super) async fn local(&self, events: &[&RawEnvelope]) -> Result<(), Failure> {
        let Some(first) = events.first() else { return Ok(()) };
        let Claimed { mut tx, tasks, duplicates, gathered } = self.db.within(self.claim(first, events)).await?;
        self.wired.count("duplicate", duplicates);
        let handled = tasks.len();
        let mut answers = Vec::new();
        let handling = async {
            for task in tasks {
                let row = RowKey { saga: task.cause.saga, item: task.cause.item.map(Item::number) };
                self.handle(&mut tx, task).await?;
                answers.push((row, self.wired.kept(&tx)));
            }
            Ok::<_, Failure>(())
        };
        self.db.unless_gone(handling).await?;
        let end = async {
            self.wired.keep(&mut tx, answers).await?;
            tx.commit().await
        };
        self.db.within(end).await?;
        self.wired.count("handled", handled);
        self.wired.count("gathered", gathered);
        // An undo may handle several items on one event.
        self.wired.count("skipped", (events.len() - duplicates - gathered).saturating_sub(handled));
        Ok(())
    }

    /// Begins a transaction and marks events as handled in it.
    async fn claim<'e>(&self, first: &RawEnvelope, events: &[&'e RawEnvelope]) -> Result<Claimed<'e, DB>, Failure> {
        let mut tx = self.begin(first).await?;
        let ids: Vec<_> = events.iter().map(|event| event.meta.id).collect();
        let mut fresh = store::claim(&mut tx, &self.wired.name, &ids).await?;
        // Each is removed as it is found: an event that is in the batch twice is handled once.
        let fresh: Vec<_> = events.iter().copied().filter(|event| fresh.remove(&event.meta.id)).collect();
        for event in &fresh {
            self.check_remembered(tx.conn(), event).await?;
        }
        let duplicates = events.len() - fresh.len();
        if self.wired.is_join() {
            let Gathered { run: tasks, kept } = Box::pin(self.gather(&mut tx, fresh, State::Done)).await?;
            return Ok(Claimed { tx, tasks, duplicates, gathered: kept });
        }
        let tasks = match &self.wired.part {
            Part::Plain => fresh.into_iter().map(|event| self.on(event)).collect(),
            Part::Step { .. } => self.start(&mut tx, fresh).await?,
            Part::Undo { step } if self.wired.is_per_item() => Box::pin(self.undo_items(&mut tx, step, fresh)).await?,
            Part::Undo { step } => self.undo(&mut tx, step, fresh).await?,
        };
        Ok(Claimed { tx, tasks, duplicates, gathered: 0 })
    }

    async fn handle(&self, tx: &mut Tx<DB>, task: Task<'_>) -> Result<(), HandlerError> {
        internal::enter(tx, task.cause, self.wired.emissions.clone());
        let Some(event) = task.given.last() else { return Ok(()) };
        let Some(Work::Local(work)) = self.wired.work(event) else {
            return Err(HandlerError::reject(format!("no handler for {}", event.meta.event)));
        };
        let span = self.wired.span(event, tx.cause());
        let handled = async {
            if let Err(error) = self.timed(work.handle(&self.state, tx, &task.given)).await {
                return Err(self.blame(tx, error).await);
            }
            self.wired.check_emitted(tx)
        };
        failing(&span, handled.instrument(span.clone()).await)
    }

    fn on<'e>(&self, event: &'e RawEnvelope) -> Task<'e> {
        Task { given: Cow::Borrowed(slice::from_ref(event)), cause: self.cause_of(event) }
    }

    /// Inserts steps into the ledger, and returns those that are to run.
    async fn start<'e>(&self, tx: &mut Tx<DB>, events: Vec<&'e RawEnvelope>) -> Result<Vec<Task<'e>>, HandlerError> {
        let events = Box::pin(self.unless_barred(tx, events)).await?;
        let wanted: Vec<_> = events.iter().map(|(row, event)| (*row, event.meta.id)).collect();
        let started = store::start(tx, &self.wired.name, &wanted, State::Done).await?;
        let (run, known): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|(_, event)| started.contains(&event.meta.id));
        if !known.is_empty() {
            let rows: Vec<_> = known.iter().map(|(row, _)| *row).collect();
            let steps = store::look(tx, &self.wired.name, &rows).await?;
            for (row, event) in known {
                if let Some(step) = steps.get(&row) {
                    check_same_event(step, event.meta.id)?;
                }
            }
        }
        Ok(run.into_iter().map(|(_, event)| self.on(event)).collect())
    }

    /// Undoes or bars steps in the ledger, and returns the undos that are to run.
    async fn undo<'e>(
        &self,
        tx: &mut Tx<DB>,
        step: &str,
        triggers: Vec<&'e RawEnvelope>,
    ) -> Result<Vec<Task<'e>>, Failure> {
        let sagas: Vec<SagaId> = triggers.iter().map(|event| event.meta.cause.saga).collect();
        let mut changed = store::undo(tx, step, &sagas).await?;
        let undone = changed.iter().filter(|(_, step)| step.state == State::Undone).map(|(saga, _)| *saga);
        self.check_order(tx, undone.collect()).await?;
        let unchanged: Vec<_> =
            sagas.into_iter().filter(|saga| !changed.contains_key(saga)).map(RowKey::whole).collect();
        if !unchanged.is_empty() {
            let steps = store::look(tx, step, &unchanged).await?;
            if steps.values().any(|step| ledger::undo(Some(step.state)) == Undo::Wait) {
                return Err(Failure::StepRunning);
            }
        }
        let nothing = |saga: &SagaId| changed.get(saga).is_none_or(|step| step.state != State::Undone);
        let nothing: Vec<_> =
            triggers.iter().map(|trigger| trigger.meta.cause.saga).filter(|saga| nothing(saga)).collect();
        Box::pin(self.check_no_items(tx, step, &nothing)).await?;
        // Each is removed as it is found: a second trigger in the same batch finds the step undone.
        Ok(triggers
            .into_iter()
            .filter_map(|trigger| {
                let step = changed.remove(&trigger.meta.cause.saga)?;
                let kept = step.kept.filter(|_| step.state == State::Undone)?;
                Some(Task { given: Cow::Owned(vec![kept]), cause: trigger.as_cause() })
            })
            .collect())
    }
}

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Engine<S, DB, B> {
    /// Fails where an undo comes after others that are not undone yet.
    pub(super) async fn check_order(&self, tx: &mut Tx<DB>, sagas: Vec<SagaId>) -> Result<(), Failure> {
        for before in self.wired.after.iter().filter(|_| !sagas.is_empty()) {
            let over = store::over(tx, before, &sagas).await?;
            if !sagas.iter().all(|saga| over.contains(saga)) {
                return Err(Failure::Early { before: before.clone() });
            }
        }
        Ok(())
    }
}
