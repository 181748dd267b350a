//! Items: each has a row of its own in the ledger, beside the row of the step as a whole.
//!
//! An item that starts holds the whole's row shared, the undo holds it alone. So an item either starts before the undo, which then finds
//! it, or finds the bar.

use std::{borrow::Cow, collections::HashMap};

use pavane_bus::Bus;
use pavane_choreography::{
    Role,
    ledger::{self, Forward, State, Undo},
};
use pavane_contract::{Cause, RawEnvelope, SagaId, codec};
use pavane_outbox::{Database, Tx};

use super::{Engine, Failure, Task, check_same_event};
use crate::{
    handler::HandlerError,
    store::{self, RowKey, Step},
};

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Engine<S, DB, B> {
    /// The row of a step that an event is about. `None` where the step has items and the event is about none.
    pub(crate) fn row_of(&self, event: &RawEnvelope) -> Option<RowKey> {
        let saga = event.meta.cause.saga;
        if !self.wired.is_per_item() {
            return Some(RowKey::whole(saga));
        }
        event.meta.cause.item.map(|item| RowKey::of(saga, item))
    }

    /// The cause of what is emitted on an event: about its item where the reaction runs for each, else about the saga as a whole.
    pub(super) fn cause_of(&self, event: &RawEnvelope) -> Cause {
        let item = event.meta.cause.item.filter(|_| self.wired.reaction.role == Role::Each);
        Cause { item, ..event.as_cause() }
    }

    /// The events whose step isn't barred as a whole, with their rows. The others come too late: the saga is undone.
    pub(super) async fn unless_barred<'e>(
        &self,
        tx: &mut Tx<DB>,
        events: Vec<&'e RawEnvelope>,
    ) -> Result<Vec<(RowKey, &'e RawEnvelope)>, HandlerError> {
        let row = |event: &'e RawEnvelope| Ok((self.row_of(event).ok_or_else(|| no_item(event))?, event));
        let rows: Vec<_> = events.into_iter().map(row).collect::<Result<_, HandlerError>>()?;
        if rows.is_empty() || !self.wired.is_per_item() {
            return Ok(rows);
        }
        let sagas: Vec<SagaId> = rows.iter().map(|(row, _)| row.saga).collect();
        let whole = store::whole(tx, &self.wired.name, &sagas).await?;
        check_whole(whole.values().copied())?;
        let starts =
            |row: &RowKey| ledger::forward(ledger::of_item(whole.get(&row.saga).copied(), None)) == Forward::Run;
        Ok(rows.into_iter().filter(|(row, _)| starts(row)).collect())
    }

    /// Starts an item whose effect is to be called. `Some(true)` where this is known to be the first call, `None` where the item is settled
    /// or barred.
    pub(super) async fn start_item(&self, tx: &mut Tx<DB>, event: &RawEnvelope) -> Result<Option<bool>, Failure> {
        let (name, id) = (&self.wired.name, event.meta.id);
        let row = self.row_of(event).ok_or_else(|| no_item(event))?;
        let whole = store::whole(tx, name, &[row.saga]).await?.remove(&row.saga);
        check_whole(whole)?;
        let is_open = ledger::forward(ledger::of_item(whole, None)) == Forward::Run;
        if is_open && !store::start(tx, name, &[(row, id)], State::Running).await?.is_empty() {
            return Ok(Some(true));
        }
        match store::look(tx, name, &[row]).await?.remove(&row) {
            Some(item) => {
                check_same_event(&item, id)?;
                Ok((ledger::forward(Some(item.state)) == Forward::Run).then_some(false))
            }
            // Deleted in between, because the effect was rejected: it was not done, so the event must not be marked as handled.
            None if is_open => Err(Failure::StepRunning),
            None => Ok(None),
        }
    }

    /// Bars steps as a whole, undoes their done items, and returns the undo of each.
    pub(super) async fn undo_items<'e>(
        &self,
        tx: &mut Tx<DB>,
        step: &str,
        triggers: Vec<&'e RawEnvelope>,
    ) -> Result<Vec<Task<'e>>, Failure> {
        let sagas: Vec<SagaId> = triggers.iter().map(|event| event.meta.cause.saga).collect();
        let mut undone: HashMap<SagaId, Vec<RawEnvelope>> = HashMap::new();
        for kept in self.done_items(tx, step, &sagas).await? {
            undone.entry(kept.meta.cause.saga).or_default().push(kept);
        }
        store::undo_items(tx, step, &sagas).await?;
        // Removed as it is found: a second trigger in the same batch finds nothing to undo.
        let of = |trigger: &'e RawEnvelope| {
            let kept = undone.remove(&trigger.meta.cause.saga).unwrap_or_default();
            kept.into_iter().map(|kept| {
                let cause = Cause { item: kept.meta.cause.item, ..trigger.as_cause() };
                Task { given: Cow::Owned(vec![kept]), cause }
            })
        };
        Ok(triggers.into_iter().flat_map(of).collect())
    }

    /// Bars steps as a whole, and returns what their done items have kept. Fails while one is running, or another undo comes first.
    pub(super) async fn done_items(
        &self,
        tx: &mut Tx<DB>,
        step: &str,
        sagas: &[SagaId],
    ) -> Result<Vec<RawEnvelope>, Failure> {
        let barred = store::bar_whole(tx, step, sagas).await?;
        if !sagas.iter().all(|saga| barred.contains(saga)) {
            return Err(ran_without_items().into());
        }
        let items: Vec<(RowKey, Step)> = store::items(tx, step, sagas).await?;
        if items.iter().any(|(_, item)| ledger::undo(Some(item.state)) == Undo::Wait) {
            return Err(Failure::StepRunning);
        }
        let mut done: Vec<SagaId> = items.iter().map(|(row, _)| row.saga).collect();
        done.dedup();
        self.check_order(tx, done).await?;
        Ok(items.into_iter().filter_map(|(_, item)| item.kept).collect())
    }

    /// Fails where a step that has no items (any more) has some in sagas in which nothing else is to be undone: they would stay.
    pub(super) async fn check_no_items(
        &self,
        tx: &mut Tx<DB>,
        step: &str,
        sagas: &[SagaId],
    ) -> Result<(), HandlerError> {
        if sagas.is_empty() || store::items(tx, step, sagas).await?.is_empty() {
            return Ok(());
        }
        Err(HandlerError::reject(
            "the saga has items of this step: let the sagas in flight end before a step that had items has none",
        ))
    }
}

/// Fails where the step ran as a whole, before it had items.
fn check_whole(states: impl IntoIterator<Item = State>) -> Result<(), HandlerError> {
    let fits = |state: State| matches!(state, State::Gathering | State::Barred);
    if states.into_iter().all(fits) { Ok(()) } else { Err(ran_without_items()) }
}

fn ran_without_items() -> HandlerError {
    HandlerError::reject("the saga has this step without items: let the sagas in flight end before a step gets items")
}

/// Why an event can't be handled that is about no item.
pub(super) fn no_item(event: &RawEnvelope) -> HandlerError {
    HandlerError::reject(codec::Error::NoItem(event.meta.event.clone()))
}
