//! The model checker: every state that one saga can reach, by the very rules that the runtime follows.
//!
//! # What is in the model
//!
//! A state holds, for one saga: each delivery (waiting, or handled and in the inbox), each step's row in the
//! [ledger](crate::ledger), each scheduled event that is not due yet, which services decided, and which entry points were used.
//! A move is one thing that happens in one local transaction, so whatever can crash in between has not happened:
//!
//! - **A delivery** that waits is handled, at any time and in any order. The reaction may choose each answer that its
//!   manifest declares. Steps and undos ask [`ledger`](crate::ledger) what to do; an outcome is emitted only if its
//!   service decided nothing for this saga before.
//! - **An effect** takes two moves: it is called (the row is `running`), then its answer is recorded. Anything may happen in
//!   between; an undo that comes then waits. An undo's own effect takes one move: nothing that happens between its call
//!   and its record can tell the difference, because the row stays `done` until then.
//! - **A delivery again**: the inbox knows it and nothing changes. Since that is true in every state, a duplicate never leads
//!   to a new state, and exploring one explores any number of them. While an effect runs, its event delivered again
//!   calls it again under the same idempotency key, which is the same state too.
//! - **A second event** for a step that runs or is done is refused, and becomes a dead letter: a violation of its own.
//! - **A join** keeps each event of a part in its row, which is `gathering`; the event that completes it runs it, and only that
//!   one can make it give up. A second event for a part is refused as above; an undo that comes before the last part bars the join.
//! - **An undo that comes after another one** waits until that step is undone or barred. It bars its own step at once.
//! - **A deadline** that is scheduled comes due at any moment, once, unless its service decided: its outcome cancels what it has
//!   scheduled in the saga, but for what outlives the outcome.
//! - **An entry point** (a customer's cancel) is used at any moment, at most once; the one that starts the saga begins every run. One
//!   that answers a question is used only after the question was asked, and only as long as the timer that ends the wait has neither come due
//!   nor been cancelled; the answer cancels it. A question without such a timer is open until its service decides.
//! - **A reaction gives up**: with its declared event where it has one; without, a forward reaction on the way to success
//!   may be lost for good, if the saga can abort: the deadline must then end it. A reaction on the way to an abort, an undo, and an effect that
//!   was called can't be lost, only be late: their dead letters wait for a person, who has to find out what became of
//!   them, and the checker explores every delay anyway. Giving up with an event on an effect that was called says "no" to
//!   what may have happened; the row keeps that.
//!
//! Left out, because they change nothing that is checked: reactions that emit nothing, have no undo and join nothing.
//!
//! # What is proved
//!
//! Every move makes something happen that never unhappens (a delivery handled, a row moved on, an entry point used), so runs can't
//! go in circles and each ends, unless an event is emitted over and over, which is a violation of its own. So it is enough to
//! know what is wrong with a state for good, and to look at every end: a state in which nothing has to happen any more.
//!
//! - In no state were a completing and an aborting outcome both emitted.
//! - Every end has an outcome, and nothing waits.
//! - *Completed with every step done and none undone*: each step of which the trigger was emitted is `done`. A step that
//!   said no, gave up, was barred or undone has no place in a completed saga, nor has a join that is `gathering`: some of its parts came
//!   and the others never will. A "no" that a part of a join takes in place of the "yes" (`OneOf<(CarBooked, CarUnavailable)>`) is as good.
//! - *Aborted with every done step undone*: no step is `done` or `running`.
//! - Both outcomes are reachable.
//!
//! A *step* is a reaction or an entry point with an undo, and also a reaction without one that others go on from
//! (see [`Saga::without_undo`](crate::Saga::without_undo)): it is done whenever it ran, and stays. A join has a row in any case; if it is
//! neither, an aborted saga may leave it done, or gathering.
//!
//! # Items
//!
//! A saga with items is explored with one and with two items of each list, and with none where its emitter declares what it emits then, in
//! every combination. Each is a saga of its own, with a copy of each event, reaction and undo for each item, and all of the above must be true
//! of it. Only where a list is empty may one of the outcomes be out of reach.
//!
//! # What is looked at
//!
//! Not every interleaving is made, only those that make a difference: two undos that touch nothing of one another are tried in one
//! order. `reduce.rs` says why every end and everything that is wrong is found all the same; `footprint.rs` says what each move
//! touches. The counterexample is then shortened. A saga that is too large even so is reported as
//! [not checked](ViolationKind::TooManyStates), with what to split.

mod compile;
mod entry;
mod footprint;
mod join;
mod moves;
mod properties;
mod reduce;
mod rules;
mod search;
mod shorten;
mod state;
mod states;
mod story;
mod violation;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub(crate) use compile::{Actor, Listeners, Model, Part};
pub(crate) use moves::Arrival;
use pavane_contract::EventRef;
pub(crate) use state::{EventIx, Move, SlotIx};
pub(crate) use story::Story;
pub use violation::{Violation, ViolationKind};

use self::search::{Found, Seen};
use crate::{
    Choreography, Saga,
    items::{self, Sizes},
};

/// More combinations of lists than this aren't looked at: three lists that may be empty, or four that may not.
const COMBINATIONS_MAX: usize = 27;

/// A saga that was explored without finding a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exploration {
    /// The saga's name.
    pub saga: String,
    /// Distinct states that were looked at. They stand for all that can be reached.
    pub states: usize,
    /// Moves from one to another.
    pub moves: usize,
    /// Ends at which the saga is completed.
    pub completed: usize,
    /// Ends at which the saga is aborted.
    pub aborted: usize,
    /// Moves of the longest of the shortest runs to a state.
    pub depth: usize,
    /// Its lists, and how many items they had. All numbers are those of all combinations together.
    pub lists: Vec<List>,
}

/// A list of a saga.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct List {
    /// The event that it is a list of.
    pub event: EventRef,
    /// How many items it had, sorted.
    pub sizes: Vec<usize>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> =
            self.sizes.iter().map(|size| if *size == 0 { "no".to_owned() } else { size.to_string() }).collect();
        let (last, before) = words.split_last().map_or(("no", &[][..]), |(last, before)| (last.as_str(), before));
        let and = if before.is_empty() { "" } else { " and " };
        let plural = if self.sizes == [1] { "" } else { "s" };
        write!(f, "{}{and}{last} item{plural} of {}", before.join(", "), self.event.name)
    }
}

/// Lists in a sentence.
fn names(lists: &[List]) -> String {
    lists.iter().map(List::to_string).collect::<Vec<_>>().join(" and with ")
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { saga, states, moves, completed, aborted, depth, lists } = self;
        let ends = completed + aborted;
        write!(
            f,
            "saga {saga}: {states} states by {moves} moves, up to {depth} moves deep, stand for every interleaving; \
             all of its {ends} ends are sound ({completed} completed, {aborted} aborted)"
        )?;
        if lists.is_empty() { Ok(()) } else { write!(f, ", with {}", names(lists)) }
    }
}

pub(crate) fn explore(choreography: &Choreography, saga: &Saga) -> Result<Exploration, Violation> {
    explored_by(search::reduced, choreography, saga)
}

/// As [`Choreography::explore`], through every interleaving: slow, and a second opinion.
#[doc(hidden)]
pub fn explore_every_interleaving(choreography: &Choreography, saga: &Saga) -> Result<Exploration, Violation> {
    explored_by(search::whole, choreography, saga)
}

fn explored_by(
    search: fn(&Model) -> Result<Seen, Found>,
    choreography: &Choreography,
    saga: &Saga,
) -> Result<Exploration, Violation> {
    let combinations = items::combinations(choreography, saga, COMBINATIONS_MAX)
        .map_err(|lists| Violation::of_too_many_lists(&saga.name, COMBINATIONS_MAX, &lists))?;
    let model = |sizes: &Sizes| {
        let (choreography, saga) = items::expand(choreography, saga, sizes);
        let model = Model::of(&choreography, &saga, Listeners::ThatMatter);
        Model { one_outcome_is_enough: sizes.has_none(), ..model }
    };
    // What goes wrong without anybody giving up is easier to follow, if a little longer.
    for sizes in &combinations {
        let model = Model { give_ups: false, ..model(sizes) };
        if let Err(found) = search(&model)
            && (!found.moves.is_empty() || matches!(found.kind, ViolationKind::TooManyStates { .. }))
        {
            return Err(Violation::of(&model, &saga.name, found).with(sizes));
        }
    }
    let mut exploration = Exploration::of(saga, &combinations);
    for sizes in &combinations {
        let model = model(sizes);
        let seen = search(&model).map_err(|found| Violation::of(&model, &saga.name, found).with(sizes))?;
        exploration.add(&seen);
    }
    Ok(exploration)
}

impl Exploration {
    /// Of nothing yet.
    fn of(saga: &Saga, combinations: &[Sizes]) -> Self {
        let mut sizes: BTreeMap<&EventRef, BTreeSet<usize>> = BTreeMap::new();
        for (list, size) in combinations.iter().flat_map(Sizes::iter) {
            sizes.entry(list).or_default().insert(size);
        }
        let list = |(event, sizes): (&EventRef, BTreeSet<usize>)| List {
            event: event.clone(),
            sizes: sizes.into_iter().collect(),
        };
        let lists = sizes.into_iter().map(list).collect();
        Self { saga: saga.name.clone(), states: 0, moves: 0, completed: 0, aborted: 0, depth: 0, lists }
    }

    fn add(&mut self, seen: &Seen) {
        self.states += seen.states;
        self.moves += seen.moves;
        self.completed += seen.completed;
        self.aborted += seen.aborted;
        self.depth = self.depth.max(seen.depth);
    }
}

#[cfg(test)]
mod tests;
