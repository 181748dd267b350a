//! Breadth first through every reachable state: the first violation found has the shortest counterexample.

use std::collections::{HashSet, VecDeque};

use super::{
    compile::Model,
    state::{Move, State},
    violation::ViolationKind,
};

/// What was seen on the way.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) states: usize,
    pub(crate) moves: usize,
    pub(crate) completed: usize,
    pub(crate) aborted: usize,
    pub(crate) depth: usize,
}

/// A violation, and the moves that lead to it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) kind: ViolationKind,
    pub(crate) moves: Vec<Move>,
    pub(crate) states: usize,
}

/// How a state was first reached.
#[derive(Debug, Clone, Copy)]
struct Reached {
    from: Option<usize>,
    by: Move,
    depth: usize,
}

struct Search<'m> {
    model: &'m Model,
    states: HashSet<State>,
    reached: Vec<Reached>,
    queue: VecDeque<(usize, State)>,
    seen: Seen,
}

pub(crate) fn run(model: &Model) -> Result<Seen, Found> {
    let mut search =
        Search { model, states: HashSet::new(), reached: Vec::new(), queue: VecDeque::new(), seen: Seen::default() };
    let nothing_yet = model.nothing_yet();
    for by in model.beginnings() {
        if let Some(state) = model.next(&nothing_yet, by) {
            search.reach(state, Reached { from: None, by, depth: 1 })?;
        }
    }
    let mut moves = Vec::new();
    while let Some((ix, state)) = search.queue.pop_front() {
        search.leave(ix, &state, &mut moves)?;
    }
    search.seen.states = search.reached.len();
    match search.seen {
        Seen { completed: 0, .. } => Err(search.found(ViolationKind::NeverCompletes, None)),
        Seen { aborted: 0, .. } if model.aborts.contains(&true) => Err(search.found(ViolationKind::NeverAborts, None)),
        seen => Ok(seen),
    }
}

impl Search<'_> {
    /// Looks at each state that follows from one.
    fn leave(&mut self, ix: usize, state: &State, moves: &mut Vec<Move>) -> Result<(), Found> {
        // Only now, not when it was reached: a state in the queue before this one may be a wrong end, after fewer moves.
        if let Some(kind) = self.model.wrong_now(state) {
            return Err(self.found(kind, Some(ix)));
        }
        moves.clear();
        self.model.moves(state, moves);
        let depth = self.reached[ix].depth + 1;
        let mut is_end = true;
        for by in moves.drain(..) {
            self.seen.moves += 1;
            if let Some(next) = self.model.next(state, by) {
                debug_assert!(next.age() > state.age() || !self.model.rules.inbox, "{by:?} goes back");
                is_end &= !by.must_happen();
                self.reach(next, Reached { from: Some(ix), by, depth })?;
            }
        }
        if !is_end {
            return Ok(());
        }
        if let Some(kind) = self.model.wrong_at_the_end(state) {
            return Err(self.found(kind, Some(ix)));
        }
        self.seen.completed += usize::from(state.completed);
        self.seen.aborted += usize::from(state.aborted);
        Ok(())
    }

    fn reach(&mut self, state: State, how: Reached) -> Result<(), Found> {
        if self.states.contains(&state) {
            return Ok(());
        }
        let ix = self.reached.len();
        self.reached.push(how);
        self.seen.depth = how.depth;
        if ix == self.model.states_max {
            return Err(self.found(ViolationKind::TooManyStates, None));
        }
        self.states.insert(state.clone());
        self.queue.push_back((ix, state));
        Ok(())
    }

    fn found(&self, kind: ViolationKind, at: Option<usize>) -> Found {
        let back = std::iter::successors(at, |ix| self.reached[*ix].from);
        let mut moves: Vec<Move> = back.map(|ix| self.reached[ix].by).collect();
        moves.reverse();
        Found { kind, moves, states: self.reached.len() }
    }
}
