//! Joins: which of their parts are there follows from the deliveries that were handled, and from the row.

use super::{
    compile::Model,
    moves::Arrival,
    state::{Row, SlotIx, State},
};
use crate::ledger;

impl Model {
    /// What a join does with a delivery.
    pub(super) fn arrival_at_join(&self, state: &State, slot: SlotIx, row: usize) -> Arrival {
        let (actor, part) = (self.actor_of(slot), self.slot(slot).part);
        let Row { state: found, by, .. } = state.rows[row];
        let running = found == Some(ledger::State::Running);
        let over = matches!(found, Some(ledger::State::Undone | ledger::State::Barred));
        let is_answered = running && by == Some(slot) && state.deliveries[usize::from(slot)].waiting == 1;
        if !over && !is_answered && Self::has_part(state, row, &actor.joins[part]) {
            return Arrival::Refuse;
        }
        let mut others = (0..).zip(&actor.joins).filter(|(other, _)| *other != part);
        match (self.rules.join)(found, others.all(|(_, other)| Self::has_part(state, row, other))) {
            ledger::Join::Gather => Arrival::Gather(row),
            ledger::Join::Run if actor.calls() && !running => Arrival::Call(row),
            ledger::Join::Run => Arrival::Step(row),
            ledger::Join::Skip => Arrival::Skip,
        }
    }

    /// Whether a join has an event of a part.
    pub(crate) fn has_part(state: &State, row: usize, part: &[SlotIx]) -> bool {
        let handled = || part.iter().any(|slot| state.deliveries[usize::from(*slot)].handled > 0);
        let Row { state: found, by, .. } = state.rows[row];
        let by = by.is_some_and(|slot| part.contains(&slot));
        match found {
            None => false,
            Some(ledger::State::Running) => by || handled(),
            Some(ledger::State::Gathering | ledger::State::Done | ledger::State::Undone | ledger::State::Barred) => {
                handled()
            }
        }
    }

    /// The parts that a join lacks.
    pub(crate) fn missing(&self, state: &State, row: usize) -> String {
        let join = &self.actors[self.steps[row]];
        let parts = join.joins.iter().enumerate().filter(|(_, part)| !Self::has_part(state, row, part));
        let name = |(number, part): (usize, &Vec<SlotIx>)| {
            let events: Vec<&str> = part.iter().map(|slot| self.event(self.slot(*slot).event)).collect();
            let every = if join.every.contains(&number) { "every " } else { "" };
            format!("{every}{}", events.join(" or "))
        };
        parts.map(name).collect::<Vec<_>>().join(" and ")
    }
}
