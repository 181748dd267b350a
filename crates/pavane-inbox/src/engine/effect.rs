//! Reactions with an effect: look, call outside any transaction, record.
//!
//! The idempotency key of the call is made from the event, so a repetition after a crash or a lost answer is the same call to
//! the provider. The step is `running` meanwhile; an undo that comes then waits until the answer is recorded.

use pavane_bus::Bus;
use pavane_choreography::ledger::{self, Forward, State, Undo};
use pavane_contract::{Cause, RawEnvelope};
use pavane_outbox::{
    Correlation, Database, Emissions, Tx,
    internal::{self, CrashPoint},
};
use tracing::Instrument as _;

use super::{Engine, Failure, Lacks, check_same_event, failing, item::no_item, join::Gathered};
use crate::{
    Call, IdempotencyKey,
    handler::{HandlerError, Kind},
    keys,
    store::{self, RowKey},
    wiring::Part,
    work::{Answer, Work},
};

/// What is to be done.
struct Looked {
    /// What each call is given: one event, or those of a join. The key is made from the last one. Only an undo of several items has
    /// several calls.
    calls: Vec<Vec<RawEnvelope>>,
    /// Whether this is known to be the first call.
    is_first: bool,
}

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Engine<S, DB, B> {
    /// Handles one event with an effect.
    pub(super) async fn effect(&self, event: &RawEnvelope) -> Result<(), Failure> {
        let Some(Looked { calls, is_first }) = self.db.within(self.look(event)).await? else { return Ok(()) };
        let mut failed = None;
        for (after, given) in (0..calls.len()).rev().zip(&calls) {
            let is_last = after == 0 && failed.is_none();
            match Box::pin(self.call(event, given, (is_first, is_last))).await {
                // What one item needs, the others need, too.
                Err(failure) if failure.lacks() > Lacks::Nothing => return Err(failure),
                // The others can be undone all the same; this one is tried again.
                Err(failure) => failed = failed.or(Some(failure)),
                Ok(()) => {}
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Makes one call, and records its answer. With the last one's, the event is marked as handled.
    async fn call(
        &self,
        event: &RawEnvelope,
        given: &[RawEnvelope],
        (is_first, is_last): (bool, bool),
    ) -> Result<(), Failure> {
        let Some(last) = given.last() else { return Ok(()) };
        let Some(Work::External(work)) = self.wired.work(last) else {
            return Err(HandlerError::reject(format!("no effect for {}", last.meta.event)).into());
        };
        let key = IdempotencyKey::new(&self.wired.durable(), last.meta.id);
        let calling = async {
            if !is_first && let Some(found) = keys::look_up(self, event, given, &key).await? {
                return self.record(event, (given, found), is_last).await;
            }
            internal::crash_point(&self.db, CrashPoint::BeforeCall).await;
            let call = Call::new(&key, &self.db, self.wired.reaction.tuning.timeout);
            let answer = match self.timed(work.call(&self.state, &call, given)).await {
                Ok(answer) => answer,
                Err(error) => return Err(self.not_called(event, error).await),
            };
            internal::crash_point(&self.db, CrashPoint::AfterCall).await;
            self.record(event, (given, answer), is_last).await
        };
        let span = self.wired.span(last, &event.as_cause());
        failing(&span, calling.instrument(span.clone()).await)
    }

    /// An effect that is rejected did not happen and never will, so its step must not stay `running`: its undo would wait for
    /// ever. After any other failure nobody knows whether it happened, and the undo has to wait.
    async fn not_called(&self, event: &RawEnvelope, error: HandlerError) -> Failure {
        let (name, saga) = (&self.wired.name, event.meta.cause.saga);
        if error.kind() == Kind::Reject && self.wired.has_row() {
            let forgotten = async {
                let mut tx = self.db.begin(Correlation::caused_by(event), Emissions::nothing(name)).await?;
                if self.wired.is_join() {
                    store::gather_again(&mut tx, name, saga, event.meta.id).await?;
                } else if let Some(row) = self.row_of(event) {
                    store::forget_running(&mut tx, name, row).await?;
                }
                tx.commit().await
            };
            if let Err(error) = self.db.within(forgotten).await {
                return error.into();
            }
            self.wired.step_ended.notify_one();
        }
        Failure::Handler(error)
    }

    /// Reads from inbox and ledger whether there is a call to make, and returns the event for it.
    ///
    /// Nearly every event needs one statement here, without a transaction around it.
    async fn look(&self, event: &RawEnvelope) -> Result<Option<Looked>, Failure> {
        let (name, saga, id) = (&self.wired.name, event.meta.cause.saga, event.meta.id);
        let is_join = self.wired.is_join();
        let is_step = matches!(self.wired.part, Part::Step { .. }) && !is_join && !self.wired.is_per_item();
        let remembered = if self.db.surely_remembers(&event.meta.cause) {
            Ok(())
        } else {
            self.check_remembered(&mut *self.db.writer().await?, event).await
        };
        if is_step && remembered.is_ok() && store::start_running(&self.db, name, saga, id).await? {
            return Ok(Some(Looked { calls: vec![vec![event.clone()]], is_first: true }));
        }
        if store::is_handled(&self.db, name, id).await? {
            self.wired.count("duplicate", 1);
            return Ok(None);
        }
        remembered?;
        if !is_join && self.wired.part == Part::Plain {
            return Ok(Some(Looked { calls: vec![vec![event.clone()]], is_first: false }));
        }
        let mut tx = self.db.begin(Correlation::caused_by(event), Emissions::nothing(name)).await?;
        let (mut result, mut is_first) = ("skipped", false);
        let one = |given: Option<RawEnvelope>| given.into_iter().map(|event| vec![event]).collect();
        let calls: Vec<Vec<RawEnvelope>> = match &self.wired.part {
            _ if is_join => {
                let Gathered { mut run, kept } = Box::pin(self.gather(&mut tx, vec![event], State::Running)).await?;
                result = if kept > 0 { "gathered" } else { result };
                run.pop().map(|join| join.given.into_owned()).into_iter().collect()
            }
            // Boxed: what few reactions do is no part of every event's future.
            Part::Undo { step } if self.wired.is_per_item() => {
                let done = Box::pin(self.done_items(&mut tx, step, &[saga])).await?;
                done.into_iter().map(|kept| vec![kept]).collect()
            }
            Part::Undo { step } => one(self.look_back(&mut tx, step, event).await?),
            Part::Step { .. } if self.wired.is_per_item() => {
                let started = Box::pin(self.start_item(&mut tx, event)).await?;
                is_first = started == Some(true);
                one(started.map(|_| event.clone()))
            }
            Part::Step { .. } | Part::Plain => one(self.look_forward(&mut tx, event).await?),
        };
        if calls.is_empty() {
            store::claim(&mut tx, name, &[id]).await?;
            self.wired.count(result, 1);
        }
        tx.commit().await?;
        Ok((!calls.is_empty()).then_some(Looked { calls, is_first }))
    }

    async fn look_forward(&self, tx: &mut Tx<DB>, event: &RawEnvelope) -> Result<Option<RawEnvelope>, Failure> {
        let (saga, id) = (event.meta.cause.saga, event.meta.id);
        let steps = store::look(tx, &self.wired.name, &[RowKey::whole(saga)]).await?;
        // Deleted in between, because the effect was rejected: it was not done, so the event must not be marked as handled.
        let Some(step) = steps.get(&RowKey::whole(saga)) else { return Err(Failure::StepRunning) };
        check_same_event(step, id)?;
        Ok(match ledger::forward(Some(step.state)) {
            Forward::Run => Some(event.clone()),
            Forward::Skip => None,
        })
    }

    /// Of an undo. The step isn't marked as undone yet: that is recorded with the answer. Until then a second trigger makes the
    /// same call, under the same key.
    async fn look_back(
        &self,
        tx: &mut Tx<DB>,
        step: &str,
        trigger: &RawEnvelope,
    ) -> Result<Option<RawEnvelope>, Failure> {
        let saga = trigger.meta.cause.saga;
        let row = RowKey::whole(saga);
        let known = store::look(tx, step, &[row]).await?.remove(&row);
        match ledger::undo(known.as_ref().map(|step| step.state)) {
            Undo::Wait => Err(Failure::StepRunning),
            Undo::Skip => {
                Box::pin(self.check_no_items(tx, step, &[saga])).await?;
                Ok(None)
            }
            Undo::Run => match known.and_then(|step| step.kept) {
                Some(kept) => {
                    self.check_order(tx, vec![saga]).await?;
                    Ok(Some(kept))
                }
                // The step said no: there is nothing to undo.
                None => self.bar(tx, step, trigger).await,
            },
            Undo::Bar => self.bar(tx, step, trigger).await,
        }
    }

    async fn bar(&self, tx: &mut Tx<DB>, step: &str, trigger: &RawEnvelope) -> Result<Option<RawEnvelope>, Failure> {
        let saga = trigger.meta.cause.saga;
        match store::undo(tx, step, &[saga]).await?.remove(&saga) {
            // The step committed meanwhile, and there is something to undo: look again.
            Some(step) if step.kept.is_some() => Err(Failure::StepRunning),
            Some(_) => {
                Box::pin(self.check_no_items(tx, step, &[saga])).await?;
                Ok(None)
            }
            None => Err(Failure::StepRunning),
        }
    }

    /// Records the answer and, where it `is_last`, marks the event as handled.
    async fn record(
        &self,
        event: &RawEnvelope,
        (given, answer): (&[RawEnvelope], Answer),
        is_last: bool,
    ) -> Result<(), Failure> {
        let Some(mut tx) = self.db.within(self.claim_record(event, given, is_last)).await? else {
            self.wired.count("duplicate", 1);
            return Ok(());
        };
        let Some(Work::External(work)) = given.last().and_then(|last| self.wired.work(last)) else { return Ok(()) };
        let recording = self.timed(work.record(&self.state, &mut tx, given, answer));
        if let Err(error) = self.db.unless_gone(recording).await {
            return Err(self.blame(&mut tx, error).await.into());
        }
        self.wired.check_emitted(&tx)?;
        let finish = async {
            if self.finish_step(&mut tx, event).await? {
                tx.commit().await?;
                return Ok::<_, HandlerError>("handled");
            }
            tx.rollback().await?;
            Ok("duplicate")
        };
        let settlement = self.db.within(finish).await?;
        if self.wired.has_row() {
            self.wired.step_ended.notify_one();
        }
        self.wired.count(settlement, 1);
        Ok(())
    }

    /// Marks the event as handled, in the transaction that records the answer. `None` when another delivery of the event, or
    /// another trigger, recorded it meanwhile.
    async fn claim_record(
        &self,
        event: &RawEnvelope,
        given: &[RawEnvelope],
        is_last: bool,
    ) -> Result<Option<Tx<DB>>, HandlerError> {
        let mut tx = self.begin(event).await?;
        let is_fresh = !is_last || !store::claim(&mut tx, &self.wired.name, &[event.meta.id]).await?.is_empty();
        if is_fresh && self.undo_step(&mut tx, event, given).await? {
            return Ok(Some(tx));
        }
        tx.commit().await?;
        Ok(None)
    }

    /// Marks the step, or the item, as undone in the ledger. `false` when another trigger did.
    async fn undo_step(
        &self,
        tx: &mut Tx<DB>,
        event: &RawEnvelope,
        given: &[RawEnvelope],
    ) -> Result<bool, HandlerError> {
        let Part::Undo { step } = &self.wired.part else { return Ok(true) };
        let saga = event.meta.cause.saga;
        if self.wired.is_per_item() {
            let item = given.last().and_then(|kept| kept.meta.cause.item).ok_or_else(|| no_item(event))?;
            let cause = Cause { item: Some(item), ..event.as_cause() };
            internal::enter(tx, cause, self.wired.emissions.clone());
            return Ok(store::undo_item(tx, step, RowKey::of(saga, item)).await?);
        }
        Ok(store::undo(tx, step, &[saga]).await?.contains_key(&saga))
    }

    /// Marks the step, or the join, as done in the ledger. `false` when another delivery did.
    async fn finish_step(&self, tx: &mut Tx<DB>, event: &RawEnvelope) -> Result<bool, HandlerError> {
        if !self.wired.has_row() {
            return Ok(true);
        }
        let Some(row) = self.row_of(event) else { return Ok(true) };
        let kept = self.wired.kept(tx);
        // What has no undo can't say no.
        let happened = kept.is_some() || !matches!(self.wired.part, Part::Step { .. });
        Ok(store::finish(tx, &self.wired.name, row, (ledger::settle(happened), kept)).await?)
    }
}
