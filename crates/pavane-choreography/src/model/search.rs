//! Breadth first through states: the first violation found has the shortest counterexample among the states that were looked at.

use super::{
    compile::{Model, Part},
    reduce::Reduction,
    state::{Move, State},
    states::States,
    violation::ViolationKind,
};

/// What a search may hold in memory. Larger states, fewer of them.
const BYTES_MAX: usize = 600 << 20;

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
    from: Option<u32>,
    by: Move,
    depth: u32,
}

struct Search<'m> {
    model: &'m Model,
    reduction: Option<Reduction<'m>>,
    states: States<'m>,
    states_max: usize,
    /// No state behind more moves is looked at.
    depth_max: usize,
    reached: Vec<Reached>,
    seen: Seen,
    /// The reactions that waited in one state, where these were most: they multiply. Their undos follow from them.
    side_by_side: Vec<usize>,
}

/// Through every interleaving.
pub(crate) fn whole(model: &Model) -> Result<Seen, Found> {
    Search::new(model, None).run()
}

/// Through the interleavings that make a difference.
pub(crate) fn reduced(model: &Model) -> Result<Seen, Found> {
    // Without an inbox, what was handled is not handled again; nothing is known about the order then.
    let reduction = model.rules.inbox.then(|| Reduction::of(model));
    Search::new(model, reduction).run()
}

/// Through every interleaving of so many moves, as far as so many states go. Says nothing about what it did not find.
pub(crate) fn shallow(model: &Model, depth_max: usize, states_max: usize) -> Option<Found> {
    let search = Search { states_max, depth_max, ..Search::new(model, None) };
    search.run().err().filter(|found| !found.moves.is_empty())
}

impl<'m> Search<'m> {
    fn new(model: &'m Model, reduction: Option<Reduction<'m>>) -> Self {
        let states = States::of(model);
        let states_max = model.states_max.min(BYTES_MAX / states.width());
        Self {
            model,
            reduction,
            states,
            states_max,
            depth_max: usize::MAX,
            reached: Vec::new(),
            seen: Seen::default(),
            side_by_side: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Seen, Found> {
        let nothing_yet = self.model.nothing_yet();
        for by in self.model.beginnings() {
            if let Some(state) = self.model.next(&nothing_yet, by) {
                self.reach(&state, Reached { from: None, by, depth: 1 })?;
            }
        }
        // In the order in which they were reached, which is that of their depth.
        let mut ix = 0;
        while ix < self.states.len() {
            self.leave(ix)?;
            ix += 1;
        }
        self.seen.states = self.reached.len();
        match self.seen {
            Seen { completed: 1.., .. } | Seen { aborted: 1.., .. } if self.model.one_outcome_is_enough => {
                Ok(self.seen)
            }
            Seen { completed: 0, .. } => Err(self.found(ViolationKind::NeverCompletes, None)),
            Seen { aborted: 0, .. } if self.model.aborts.contains(&true) => {
                Err(self.found(ViolationKind::NeverAborts, None))
            }
            _ => Ok(self.seen),
        }
    }

    /// Looks at each state that follows from one.
    fn leave(&mut self, ix: usize) -> Result<(), Found> {
        let state = self.states.get(ix);
        // Only now, not when it was reached: a state reached before this one may be a wrong end, after fewer moves.
        if let Some(kind) = self.model.wrong_now(&state) {
            return Err(self.found(kind, Some(ix)));
        }
        let (next, is_end) = self.next(&state);
        if is_end {
            if let Some(kind) = self.model.wrong_at_the_end(&state) {
                return Err(self.found(kind, Some(ix)));
            }
            self.seen.completed += usize::from(state.completed);
            self.seen.aborted += usize::from(state.aborted);
        }
        let depth = self.reached[ix].depth + 1;
        if depth as usize > self.depth_max {
            return Ok(());
        }
        self.note_side_by_side(&state);
        let from = u32::try_from(ix).ok();
        for (by, next) in next {
            debug_assert!(next.age() > state.age() || !self.model.rules.inbox, "{by:?} goes back");
            self.seen.moves += 1;
            self.reach(&next, Reached { from, by, depth })?;
        }
        Ok(())
    }

    /// What follows from a state, and whether it is an end.
    fn next(&self, state: &State) -> (Vec<(Move, State)>, bool) {
        if let Some(reduction) = &self.reduction {
            let next = reduction.next(state);
            let is_end = next.is_empty();
            return (next, is_end);
        }
        let mut moves = Vec::new();
        self.model.moves(state, &mut moves);
        let next = moves.into_iter().filter_map(|by| Some((by, self.model.next(state, by)?)));
        let next: Vec<_> = next.collect();
        let is_end = !next.iter().any(|(by, _)| by.must_happen());
        (next, is_end)
    }

    fn reach(&mut self, state: &State, how: Reached) -> Result<(), Found> {
        if !self.states.add(state) {
            return Ok(());
        }
        self.reached.push(how);
        self.seen.depth = how.depth as usize;
        if self.reached.len() > self.states_max {
            let side_by_side = self.side_by_side.iter().map(|actor| self.model.label(*actor)).collect();
            let limit = self.states_max;
            return Err(self.found(ViolationKind::TooManyStates { limit, side_by_side }, None));
        }
        Ok(())
    }

    fn note_side_by_side(&mut self, state: &State) {
        let waiting = self.model.slots.iter().zip(&state.deliveries).filter(|(_, delivery)| delivery.waiting > 0);
        let actors = waiting.map(|(slot, _)| slot.actor);
        let forward = actors.filter(|actor| !matches!(self.model.actors[*actor].part, Part::Undo { .. }));
        let mut actors: Vec<usize> = forward.collect();
        actors.dedup();
        if actors.len() > self.side_by_side.len() {
            self.side_by_side = actors;
        }
    }

    fn found(&self, kind: ViolationKind, at: Option<usize>) -> Found {
        let back = std::iter::successors(at, |ix| self.reached[*ix].from.map(|from| from as usize));
        let mut moves: Vec<Move> = back.map(|ix| self.reached[ix].by).collect();
        moves.reverse();
        Found { kind, moves, states: self.reached.len() }
    }
}
