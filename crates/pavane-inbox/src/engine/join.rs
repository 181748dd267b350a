//! Joins: an event is kept as a part, under the lock of the join's row, until there is an event of each part.

use std::borrow::Cow;

use pavane_bus::Bus;
use pavane_choreography::{
    JoinPart,
    ledger::{self, Join, State},
};
use pavane_contract::{RawEnvelope, SagaId, codec};
use pavane_outbox::{Database, Error, Tx};

use super::{Engine, Task};
use crate::{
    handler::HandlerError,
    store::{self, Parts},
};

/// What became of the events of a join.
#[derive(Default)]
pub(super) struct Gathered<'e> {
    /// The joins of which nothing is missing.
    pub(super) run: Vec<Task<'e>>,
    /// How many events were kept because others are missing.
    pub(super) kept: usize,
}

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Engine<S, DB, B> {
    /// Keeps events as parts of their joins. What is complete now gets the state `ran`.
    pub(super) async fn gather<'e>(
        &self,
        tx: &mut Tx<DB>,
        events: Vec<&'e RawEnvelope>,
        ran: State,
    ) -> Result<Gathered<'e>, HandlerError> {
        let mut gathered = Gathered::default();
        if events.is_empty() {
            return Ok(gathered);
        }
        for event in &events {
            self.check_fits(event).map_err(HandlerError::reject)?;
        }
        let name = &self.wired.name;
        let sagas: Vec<SagaId> = events.iter().map(|event| event.meta.cause.saga).collect();
        let rows = store::gather(tx, name, &sagas).await?;
        let mut parts = store::parts(tx, name, &sagas).await?;
        let mut new = Vec::new();
        for event in &events {
            let saga = event.meta.cause.saga;
            let state = rows.get(&saga).map(|row| row.state);
            let kept = parts.entry(saga).or_default();
            if self.is_new(state, kept, event)? {
                kept.push((*event).clone());
                new.push(*event);
            }
        }
        if !new.is_empty() {
            store::keep_parts(tx, name, &new).await?;
        }
        let mut complete = Vec::new();
        // The last one first: of several of one saga, it is the one that completes the join.
        for event in events.into_iter().rev() {
            let saga = event.meta.cause.saga;
            let Some(row) = rows.get(&saga) else { continue };
            let is_complete = parts.get(&saga).is_some_and(|parts| self.missing(parts).next().is_none());
            match ledger::join(Some(row.state), is_complete) {
                Join::Gather => gathered.kept += 1,
                // Only the event that it runs on runs it again.
                Join::Run if row.event_id.is_none_or(|ran_on| ran_on == event.meta.id) => {
                    // Taken: the others of this saga find nothing to run.
                    let Some(parts) = parts.remove(&saga) else { continue };
                    if row.state == State::Gathering {
                        complete.push((saga, event.meta.id));
                    }
                    gathered.run.push(Task::of_join(parts, event));
                }
                Join::Run | Join::Skip => {}
            }
        }
        if !complete.is_empty() {
            store::complete(tx, name, &complete, ran).await?;
        }
        gathered.run.reverse();
        Ok(gathered)
    }

    /// Whether an event is to be kept. Fails where the join has another event of its part, which would be ignored silently otherwise.
    fn is_new(&self, state: Option<State>, kept: &Parts, event: &RawEnvelope) -> Result<bool, HandlerError> {
        let (Some(state @ (State::Gathering | State::Running | State::Done)), Some(part)) =
            (state, self.part_of(event))
        else {
            return Ok(false);
        };
        match kept.iter().find(|kept| part.events().contains(&kept.meta.event)) {
            Some(other) if other.meta.id != event.meta.id => Err(HandlerError::reject(format!(
                "the join has {} already, by the event {}: it takes one event of each part in a saga",
                part.name(),
                other.meta.id
            ))),
            Some(_) => Ok(false),
            None => Ok(state == State::Gathering),
        }
    }

    /// The events of a join that gives up on this one, which would complete it: all of them. Empty otherwise, and where this one
    /// can't be read.
    pub(super) async fn complete_with(&self, tx: &mut Tx<DB>, event: &RawEnvelope) -> Result<Vec<RawEnvelope>, Error> {
        let (name, saga) = (&self.wired.name, event.meta.cause.saga);
        if self.check_fits(event).is_err() {
            return Ok(Vec::new());
        }
        let state = store::gather(tx, name, &[saga]).await?.get(&saga).map(|row| row.state);
        let mut parts = store::parts(tx, name, &[saga]).await?.remove(&saga).unwrap_or_default();
        match self.is_new(state, &parts, event) {
            Ok(true) => parts.push(event.clone()),
            Ok(false) => {}
            Err(_) => return Ok(Vec::new()),
        }
        Ok(if self.missing(&parts).next().is_none() { parts } else { Vec::new() })
    }

    fn check_fits(&self, event: &RawEnvelope) -> Result<(), codec::Error> {
        self.wired.work(event).map_or(Ok(()), |work| work.check(event))
    }

    /// The part that an event is of.
    fn part_of(&self, event: &RawEnvelope) -> Option<&JoinPart> {
        self.wired.reaction.parts().iter().find(|part| part.events().contains(&event.meta.event))
    }

    /// The parts of which there is no event.
    fn missing<'p>(&'p self, parts: &'p Parts) -> impl Iterator<Item = &'p JoinPart> {
        let is_there = |part: &&JoinPart| parts.iter().any(|event| part.events().contains(&event.meta.event));
        self.wired.reaction.parts().iter().filter(move |part| !is_there(part))
    }
}

impl<'e> Task<'e> {
    /// The join's events, the one that completes it last: it is the cause of what is emitted.
    fn of_join(parts: Parts, last: &'e RawEnvelope) -> Self {
        let mut given: Vec<_> = parts.into_iter().filter(|event| event.meta.id != last.meta.id).collect();
        given.push(last.clone());
        Self { given: Cow::Owned(given), cause: last.as_cause() }
    }
}
