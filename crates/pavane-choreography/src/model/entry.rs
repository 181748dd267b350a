//! Entry points: when they can be used, and what follows from that.

use super::{
    compile::{Actor, Answer, Kept, Model, Part},
    state::{EventIx, Row, State, Used},
};
use crate::ledger;

impl Model {
    /// Whether an entry point can be used, which it can be once.
    pub(crate) fn is_open(&self, state: &State, entry: u16) -> bool {
        let waits = |expires: EventIx| state.timers[usize::from(expires)] > 0 || !self.rules.expires;
        let actor = &self.actors[usize::from(entry)];
        state.used[usize::from(entry)] == Used::NotYet && actor.expires_with().is_none_or(waits)
    }

    /// The state after an entry point was used, with one of its answers. `None` where it can't be, or changes nothing.
    pub(super) fn used(&self, state: &State, entry: u16, choice: u16) -> Option<State> {
        let actor = &self.actors[usize::from(entry)];
        let answer = self.answer(state, actor, choice)?;
        if actor.part == Part::Entry && !self.is_open(state, entry) {
            return None;
        }
        let mut next = state.clone();
        // An answer cancels what would have ended the wait for it.
        if let Some(expires) = actor.expires_with() {
            next.timers[usize::from(expires)] = 0;
        }
        self.apply(&mut next, actor, answer);
        self.keep(&mut next, actor, answer)?;
        // An entry point whose outcome came too late left no trace: it may as well not have been used.
        if next == *state {
            return None;
        }
        if actor.part == Part::Entry {
            next.used[usize::from(entry)] = Used::Yes;
        }
        Some(next)
    }

    /// Writes the row of an entry point that is a step. `None` where its undo came first: its transaction fails.
    fn keep(&self, next: &mut State, actor: &Actor, answer: &Answer) -> Option<()> {
        let Some(Kept { row, done }) = &actor.keeps else { return Some(()) };
        if let Some(kept) = answer.emits.iter().find(|event| done.contains(event)) {
            let row = &mut next.rows[*row];
            if (self.rules.forward)(row.state) == ledger::Forward::Skip {
                return None;
            }
            *row = Row { state: Some(ledger::State::Done), kept: Some(*kept), by: None };
        }
        Some(())
    }
}
