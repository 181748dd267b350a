//! Joins: an event is kept as a part, under the lock of the join's row, until there is an event of each part.

use std::{borrow::Cow, collections::HashMap};

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
    store::{self, Parts, Step},
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
        let open = |event: &&&RawEnvelope| state(&rows, event) == Some(State::Gathering);
        let open: Vec<_> = events.iter().filter(open).map(|event| (self.part_of(event), *event)).collect();
        if !open.is_empty() {
            store::keep_parts(tx, name, &open).await?;
        }
        let mut parts = store::parts(tx, name, &sagas).await?;
        for event in &events {
            check_same_part(state(&rows, event), parts.get(&event.meta.cause.saga), &self.part_of(event), event)?;
        }
        let mut complete = Vec::new();
        // The last one first: of several of one saga, it is the one that completes the join.
        for event in events.into_iter().rev() {
            let saga = event.meta.cause.saga;
            let row = rows.get(&saga);
            let is_complete = parts.get(&saga).is_some_and(|parts| self.missing(parts).next().is_none());
            match ledger::join(row.map(|row| row.state), is_complete) {
                Join::Gather => gathered.kept += 1,
                // Only the event that it runs on runs it again.
                Join::Run if row.is_none_or(|row| row.event_id.is_none_or(|ran_on| ran_on == event.meta.id)) => {
                    // Taken: the others of this saga find nothing to run.
                    let Some(parts) = parts.remove(&saga) else { continue };
                    if row.is_none_or(|row| row.state == State::Gathering) {
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

    /// The events of a join that gives up on this one, which would complete it: all of them. Empty otherwise, and where this one
    /// can't be read.
    pub(super) async fn complete_with(&self, tx: &mut Tx<DB>, event: &RawEnvelope) -> Result<Vec<RawEnvelope>, Error> {
        let (name, saga) = (&self.wired.name, event.meta.cause.saga);
        if self.check_fits(event).is_err() {
            return Ok(Vec::new());
        }
        store::gather(tx, name, &[saga]).await?;
        let mut parts = store::parts(tx, name, &[saga]).await?.remove(&saga).unwrap_or_default();
        let same = parts.entry(self.part_of(event)).or_insert_with(|| event.clone()).meta.id == event.meta.id;
        let is_complete = same && self.missing(&parts).next().is_none();
        Ok(if is_complete { parts.into_values().collect() } else { Vec::new() })
    }

    fn check_fits(&self, event: &RawEnvelope) -> Result<(), codec::Error> {
        self.wired.work(event).map_or(Ok(()), |work| work.check(event))
    }

    /// The name of the part that an event is of.
    fn part_of(&self, event: &RawEnvelope) -> String {
        let mut parts = self.wired.reaction.parts().iter();
        parts.find(|part| part.events().contains(&event.meta.event)).map(JoinPart::name).unwrap_or_default()
    }

    /// The parts of which there is no event.
    fn missing<'p>(&'p self, parts: &'p Parts) -> impl Iterator<Item = &'p JoinPart> {
        self.wired.reaction.parts().iter().filter(|part| !parts.contains_key(&part.name()))
    }
}

impl<'e> Task<'e> {
    /// The join's events, the one that completes it last: it is the cause of what is emitted.
    fn of_join(parts: Parts, last: &'e RawEnvelope) -> Self {
        let mut given: Vec<_> = parts.into_values().filter(|event| event.meta.id != last.meta.id).collect();
        given.push(last.clone());
        Self { given: Cow::Owned(given), cause: last.as_cause() }
    }
}

fn state(rows: &HashMap<SagaId, Step>, event: &RawEnvelope) -> Option<State> {
    rows.get(&event.meta.cause.saga).map(|row| row.state)
}

/// Fails where the join has another event of this part. This one would be ignored silently otherwise.
fn check_same_part(
    state: Option<State>,
    parts: Option<&Parts>,
    part: &str,
    event: &RawEnvelope,
) -> Result<(), HandlerError> {
    let known = parts.and_then(|parts| parts.get(part)).map(|known| known.meta.id);
    match (state, known) {
        (Some(State::Gathering | State::Running | State::Done), Some(other)) if other != event.meta.id => {
            Err(HandlerError::reject(format!(
                "the join has {part} already, by the event {other}: it takes one event of each part in a saga"
            )))
        }
        _ => Ok(()),
    }
}
