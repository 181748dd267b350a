//! What must be true of every state, and of every end.

use super::{
    compile::{Kept, Model, Part},
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
            let gathers =
                |row: &usize| state.rows[*row] == Row { state: Some(ledger::State::Gathering), ..Row::default() };
            let gathering = (0..self.steps.len()).filter(gathers);
            let lacks = |row| format!("{} waits for {}", self.label(self.steps[row]), self.missing(state, row));
            return Some(ViolationKind::NoOutcome { gathering: gathering.map(lacks).collect() });
        }
        let steps: Vec<String> = (0..self.steps.len())
            .filter(|row| self.is_wrong(state, *row))
            .map(|row| format!("{} ({})", self.label(self.steps[row]), self.how(state, row)))
            .collect();
        if steps.is_empty() {
            None
        } else if state.completed {
            Some(ViolationKind::CompletedWithout { steps })
        } else {
            Some(ViolationKind::NotUndone { steps })
        }
    }

    /// Whether a step has no place in a saga with this outcome.
    fn is_wrong(&self, state: &State, row: usize) -> bool {
        let Row { state: found, kept, .. } = state.rows[row];
        let actor = &self.actors[self.steps[row]];
        if let Some(Kept { done, .. }) = &actor.keeps {
            // It was used if its row says so. Nobody has to use it.
            let happened = kept.is_some_and(|kept| done.contains(&kept));
            return if state.aborted { happened } else { found == Some(ledger::State::Undone) };
        }
        let Part::Step { done, has_undo, .. } = &actor.part else { return false };
        let happened = kept.is_some_and(|kept| done.contains(&kept));
        // Of a join that nothing undoes, and that others don't go on from, nothing has to be done or undone.
        let free = actor.is_join() && !has_undo;
        match found {
            Some(ledger::State::Running) => true,
            Some(ledger::State::Gathering) => state.completed,
            Some(ledger::State::Done) if state.aborted => !free || happened,
            Some(ledger::State::Done) => free && kept.is_none() && !done.is_empty(),
            Some(ledger::State::Undone | ledger::State::Barred) | None if state.aborted => happened,
            Some(ledger::State::Undone | ledger::State::Barred) | None => {
                let is_excused = kept.is_some() && !happened;
                !is_excused && !done.is_empty() && self.is_asked(state, self.steps[row])
            }
        }
    }

    /// Whether a reaction ever had something to run on.
    fn is_asked(&self, state: &State, actor: usize) -> bool {
        let mut ours = self.slots.iter().zip(&state.deliveries).filter(|(slot, _)| slot.actor == actor);
        ours.any(|(_, delivery)| delivery.emitted() > 0)
    }

    fn how(&self, state: &State, row: usize) -> String {
        match state.rows[row] {
            Row { state: None, .. } => "never done".to_owned(),
            Row { state: Some(ledger::State::Barred), kept: Some(_), .. } if state.aborted => {
                "barred, but it may have happened".to_owned()
            }
            Row { state: Some(ledger::State::Gathering), by: None, .. } => {
                format!("gathering, waits for {}", self.missing(state, row))
            }
            Row { state: Some(ledger::State::Done), kept: None, .. } if state.completed => {
                "done, but it said no".to_owned()
            }
            Row { state: Some(found), .. } => found.as_str().to_owned(),
        }
    }

    pub(crate) fn label(&self, actor: usize) -> String {
        let actor = &self.actors[actor];
        format!("{}/{}", self.services[actor.service], actor.name)
    }
}
