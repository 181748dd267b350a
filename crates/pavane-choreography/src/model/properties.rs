//! What must be true of every state, and of every end.

use super::{
    compile::Model,
    state::{Row, State},
    violation::ViolationKind,
};
use crate::ledger;

/// How often an event may be emitted in one saga. A choreography that gets here goes round in a circle.
pub(crate) const EMITTED_MAX: u8 = 8;

impl Model {
    /// What is wrong with a state, whatever happens next.
    pub(crate) fn wrong_now(&self, state: &State) -> Option<ViolationKind> {
        if state.completed && state.aborted {
            return Some(ViolationKind::BothOutcomes);
        }
        if let Some(row) = state.refused.iter().position(|refused| *refused) {
            return Some(ViolationKind::StepTwice { step: self.label(self.steps[row]) });
        }
        let runaway = self.slots.iter().zip(&state.deliveries).find(|(_, delivery)| delivery.emitted() > EMITTED_MAX);
        runaway.map(|(slot, _)| ViolationKind::Endless { event: self.events[usize::from(slot.event)].clone() })
    }

    /// What is wrong with a state in which nothing has to happen any more.
    pub(crate) fn wrong_at_the_end(&self, state: &State) -> Option<ViolationKind> {
        let waiting = self.slots.iter().zip(&state.deliveries).filter(|(_, delivery)| delivery.waiting > 0);
        let waiting: Vec<String> =
            waiting.map(|(slot, _)| format!("{} for {}", self.label(slot.actor), self.event(slot.event))).collect();
        if !waiting.is_empty() {
            return Some(ViolationKind::WaitsForEver { waiting });
        }
        if !state.completed && !state.aborted {
            return Some(ViolationKind::NoOutcome);
        }
        let steps = self.steps_where(state, |row, asked| match row.state {
            Some(ledger::State::Running | ledger::State::Gathering) => true,
            Some(ledger::State::Done) => state.aborted,
            _ if state.aborted => row.kept.is_some(),
            Some(ledger::State::Undone | ledger::State::Barred) | None => asked,
        });
        if steps.is_empty() {
            None
        } else if state.completed {
            Some(ViolationKind::CompletedWithout { steps })
        } else {
            Some(ViolationKind::NotUndone { steps })
        }
    }

    fn steps_where(&self, state: &State, wrong: impl Fn(Row, bool) -> bool) -> Vec<String> {
        let rows = self.steps.iter().zip(&state.rows);
        let asked = |actor: usize| {
            let mut ours = self.slots.iter().zip(&state.deliveries).filter(|(slot, _)| slot.actor == actor);
            ours.any(|(_, delivery)| delivery.emitted() > 0)
        };
        let wrong = rows.filter(|(actor, row)| wrong(**row, asked(**actor)));
        wrong.map(|(actor, row)| format!("{} ({})", self.label(*actor), name(*row))).collect()
    }

    pub(crate) fn label(&self, actor: usize) -> String {
        let actor = &self.actors[actor];
        format!("{}/{}", self.services[actor.service], actor.name)
    }
}

fn name(row: Row) -> &'static str {
    match row {
        Row { state: None, .. } => "never done",
        Row { state: Some(ledger::State::Barred), kept: Some(_), .. } => "barred, but it may have happened",
        Row { state: Some(state), .. } => state.as_str(),
    }
}
