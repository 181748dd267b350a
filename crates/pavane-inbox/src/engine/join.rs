//! Joins: an event is kept as a part, under the lock of the join's row, until there is an event of each part.

use std::borrow::Cow;

use pavane_bus::Bus;
use pavane_choreography::{
    JoinPart,
    ledger::{self, Join, State},
};
use pavane_contract::{Item, RawEnvelope, SagaId, codec};
use pavane_outbox::{Database, Error, Tx};

use super::{Engine, Task};
use crate::{
    handler::HandlerError,
    store::{self, Part},
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
            if let Some(part) = self.is_new(state, kept, event)? {
                kept.push(part.clone());
                new.push((part, *event));
            }
        }
        if !new.is_empty() {
            store::keep_parts(tx, name, &new).await?;
        }
        let mut complete = Vec::new();
        let mut runs: Vec<&RawEnvelope> = Vec::new();
        // The last one first: of several of one saga, it is the one that completes the join.
        for event in events.into_iter().rev() {
            let saga = event.meta.cause.saga;
            let Some(row) = rows.get(&saga) else { continue };
            let is_complete = parts.get(&saga).is_some_and(|parts| self.missing(parts).next().is_none());
            match ledger::join(Some(row.state), is_complete) {
                Join::Gather => gathered.kept += 1,
                // Only the event that it runs on runs it again.
                Join::Run if row.event_id.is_none_or(|ran_on| ran_on == event.meta.id) => {
                    // Removed: the others of this saga find nothing to run.
                    if parts.remove(&saga).is_none() {
                        continue;
                    }
                    if row.state == State::Gathering {
                        complete.push((saga, event.meta.id));
                    }
                    runs.push(event);
                }
                Join::Run | Join::Skip => {}
            }
        }
        if !complete.is_empty() {
            store::complete(tx, name, &complete, ran).await?;
        }
        gathered.run = self.joined(tx, runs.into_iter().rev()).await?;
        Ok(gathered)
    }

    /// The joins that run, each on the event that completes it.
    async fn joined<'e>(
        &self,
        tx: &mut Tx<DB>,
        runs: impl ExactSizeIterator<Item = &'e RawEnvelope>,
    ) -> Result<Vec<Task<'e>>, Error> {
        if runs.len() == 0 {
            return Ok(Vec::new());
        }
        let runs: Vec<_> = runs.collect();
        let sagas: Vec<SagaId> = runs.iter().map(|event| event.meta.cause.saga).collect();
        let mut events = store::part_events(tx, &self.wired.name, &sagas).await?;
        let join = |last: &'e RawEnvelope| {
            let events = events.remove(&last.meta.cause.saga).unwrap_or_default();
            Task::of_join(events, last)
        };
        Ok(runs.into_iter().map(join).collect())
    }

    /// The part as which an event is to be kept; `None` when it isn't. Fails where the join has another event of its part, which would be
    /// ignored silently otherwise.
    fn is_new(&self, state: Option<State>, kept: &[Part], event: &RawEnvelope) -> Result<Option<Part>, HandlerError> {
        let (Some(state @ (State::Gathering | State::Running | State::Done)), Some(part)) =
            (state, self.part_of(event))
        else {
            return Ok(None);
        };
        let item = event.meta.cause.item.filter(|_| matches!(part, JoinPart::Every(_)));
        let of_part = || kept.iter().filter(|kept| kept.is_of(part));
        if of_part().any(|kept| kept.item.is_some() != item.is_some()) {
            return Err(HandlerError::reject(format!(
                "the join has kept {} before it waited for every item, or the other way round: let the sagas in flight end before that changes",
                event.meta.event
            )));
        }
        if let (Some(item), Some(other)) = (item, of_part().find_map(|kept| kept.item))
            && item.count() != other.count()
        {
            return Err(HandlerError::reject(format!(
                "the join has {} of {} items, and this one is {item}: all of them have one count",
                part.name(),
                other.count()
            )));
        }
        match of_part().find(|kept| kept.item == item) {
            Some(other) if other.event_id != event.meta.id => Err(HandlerError::reject(format!(
                "the join has {} already, by the event {}: it takes one event of each part in a saga",
                part.name(),
                other.event_id
            ))),
            Some(_) => Ok(None),
            None => Ok((state == State::Gathering).then(|| Part::of(event, item))),
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
        let Ok(new) = self.is_new(state, &parts, event) else { return Ok(Vec::new()) };
        let is_new = new.is_some();
        parts.extend(new);
        if self.missing(&parts).next().is_some() {
            return Ok(Vec::new());
        }
        let mut events = store::part_events(tx, name, &[saga]).await?.remove(&saga).unwrap_or_default();
        if is_new {
            events.push(event.clone());
        }
        Ok(events)
    }

    fn check_fits(&self, event: &RawEnvelope) -> Result<(), codec::Error> {
        self.wired.work(event).map_or(Ok(()), |work| work.check(event))
    }

    /// The part that an event is of.
    fn part_of(&self, event: &RawEnvelope) -> Option<&JoinPart> {
        self.wired.reaction.parts().iter().find(|part| part.events().contains(&event.meta.event))
    }

    /// The parts of which there is no event.
    fn missing<'p>(&'p self, kept: &'p [Part]) -> impl Iterator<Item = &'p JoinPart> {
        let is_there = |part: &&JoinPart| {
            // One that was kept before the join waited for every item is none.
            let fits = |kept: &&Part| kept.item.is_some() == matches!(part, JoinPart::Every(_));
            let mut of_part = kept.iter().filter(|kept| kept.is_of(part)).filter(fits);
            let first = of_part.next();
            // Of how many items there are, each event says.
            let wanted = first.and_then(|kept| kept.item).map_or(1, Item::count);
            first.is_some() && u32::try_from(1 + of_part.count()).is_ok_and(|there| there >= wanted)
        };
        self.wired.reaction.parts().iter().filter(move |part| !is_there(part))
    }
}

impl<'e> Task<'e> {
    /// The join's events, the one that completes it last: it is the cause of what is emitted.
    fn of_join(events: Vec<RawEnvelope>, last: &'e RawEnvelope) -> Self {
        let mut given: Vec<_> = events.into_iter().filter(|event| event.meta.id != last.meta.id).collect();
        given.push(last.clone());
        Self { given: Cow::Owned(given), cause: last.as_cause() }
    }
}
