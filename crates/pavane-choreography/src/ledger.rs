//! The ledger's rules: what happens when a step or its undo arrives, given what happened before.
//!
//! `(saga, step) -> gathering | running | done | undone | barred`. The inbox keeps the state in a row, in the handler's own
//! transaction; the model checker explores every interleaving of the same functions.
//!
//! A step with items has a row for each of them, and one for the step as a whole: see [`of_item`].

use serde::{Deserialize, Serialize};

/// The state of one step of one saga. Without a row nothing has arrived yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "complete by nature: another state would be another protocol")]
pub enum State {
    /// Its effect is being called; nobody knows yet whether it happened.
    Running,
    /// It happened; the event that it emitted is kept.
    Done,
    /// It happened and was undone.
    Undone,
    /// Its undo came first: it must never run.
    Barred,
    /// A join that lacks events.
    Gathering,
}

/// What to do with a step that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Forward {
    /// Run it. With an effect: again, under the same idempotency key.
    Run,
    /// It is already done, undone or barred.
    Skip,
}

/// What to do with an event of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Join {
    /// Keep it as a part; others are missing.
    Gather,
    /// Nothing is missing now: run the join. With an effect: again, under the same idempotency key.
    Run,
    /// The join is already done, undone or barred.
    Skip,
}

/// What to do with an undo that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Undo {
    /// There is nothing to undo; the step must never run.
    Bar,
    /// Undo the step.
    Run,
    /// Nobody knows yet whether there is something to undo: try again later.
    Wait,
    /// Already undone or barred.
    Skip,
}

/// The rule for a step that arrives.
pub const fn forward(state: Option<State>) -> Forward {
    match state {
        None | Some(State::Running | State::Gathering) => Forward::Run,
        Some(State::Done | State::Undone | State::Barred) => Forward::Skip,
    }
}

/// The rule for an event of a join. `complete` says whether every part is there, this event's among them.
pub const fn join(state: Option<State>, complete: bool) -> Join {
    match state {
        None | Some(State::Gathering) if !complete => Join::Gather,
        None | Some(State::Gathering | State::Running) => Join::Run,
        Some(State::Done | State::Undone | State::Barred) => Join::Skip,
    }
}

/// The rule for an undo that arrives.
pub const fn undo(state: Option<State>) -> Undo {
    match state {
        None | Some(State::Gathering) => Undo::Bar,
        Some(State::Running) => Undo::Wait,
        Some(State::Done) => Undo::Run,
        Some(State::Undone | State::Barred) => Undo::Skip,
    }
}

/// The rule for a step that has run. `happened` says whether it emitted the event that its undo is for. A step that says no has
/// changed nothing, so its undo must find nothing.
pub const fn settle(happened: bool) -> State {
    if happened { State::Done } else { State::Barred }
}

/// The state of one item of a step, for the rules above: `own` is its row, `whole` the row of the step as a whole. The undo bars the
/// whole before it undoes the items that are done, so an item without a row meets the bar, however late it comes.
pub const fn of_item(whole: Option<State>, own: Option<State>) -> Option<State> {
    match (own, whole) {
        (Some(_), _) => own,
        (None, Some(State::Barred | State::Undone)) => Some(State::Barred),
        (None, None | Some(State::Running | State::Done | State::Gathering)) => None,
    }
}

impl State {
    /// The state as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Barred => "barred",
            Self::Gathering => "gathering",
        }
    }

    /// Parses the stored form.
    pub fn parse(text: &str) -> Option<Self> {
        let states = [Self::Running, Self::Done, Self::Undone, Self::Barred, Self::Gathering];
        states.into_iter().find(|state| state.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 5] = [State::Running, State::Done, State::Undone, State::Barred, State::Gathering];

    #[test]
    fn an_item_without_a_row_is_barred_where_the_whole_is_over() {
        let of_whole = |whole| of_item(whole, None);
        assert_eq!(of_whole(None), None);
        let expected = [None, None, Some(State::Barred), Some(State::Barred), None];
        assert_eq!(STATES.map(|whole| of_whole(Some(whole))), expected);
    }

    #[test]
    fn an_item_with_a_row_has_the_state_of_its_row() {
        for own in STATES {
            assert_eq!(of_item(None, Some(own)), Some(own));
            assert_eq!(STATES.map(|whole| of_item(Some(whole), Some(own))), [Some(own); 5]);
        }
    }

    /// An item is done or undone whatever happens to the others, and one that comes after the undo does not start.
    #[test]
    fn the_rules_of_a_step_hold_for_an_item() {
        let done = of_item(Some(State::Barred), Some(State::Done));
        assert_eq!((forward(done), undo(done)), (Forward::Skip, Undo::Run));
        let late = of_item(Some(State::Barred), None);
        assert_eq!((forward(late), undo(late)), (Forward::Skip, Undo::Skip));
        let early = of_item(Some(State::Gathering), None);
        assert_eq!((forward(early), undo(early)), (Forward::Run, Undo::Bar));
    }
}
