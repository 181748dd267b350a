//! Which of the moves that can be made in a state have to be looked at.
//!
//! Moves that touch nothing of one another lead to the same state in either order, and one order is enough. In each state a
//! *stubborn set* (Valmari 1989; persistent sets of Godefroid, ample sets of Peled) is chosen, and only its moves are made. It
//! is a set of [agents](Agent) that is closed:
//!
//! - Of an agent in it that has what it takes, everyone is in it whose [footprint](super::footprint) conflicts with its own.
//! - Of an agent in it that has not, everyone is in it who could bring what is missing.
//! - An agent in it can make a move now.
//!
//! # Why that is enough
//!
//! *Every end is found.* Take a run from a state to an end, and the set that was chosen in the state. Until the run comes to the
//! first move of an agent in the set, nothing happened that conflicts with that move or enables it; so it could have been made at
//! once, and leads to the same end. There is such a move in the run: an agent in the set can make a move now, and agents
//! outside the set neither make it nor prevent it. So the search follows a run to the same end that is a reordering of the first one.
//!
//! *Every state is found in which something is wrong for good.* What is wrong with a state whatever happens next
//! ([`Model::wrong_now`]) stays wrong. From there, the same argument leads to a wrong state, or puts moves before it, one for each
//! state that the search visits; as runs end, it can't go on putting them off for ever. (Where an event is emitted over and
//! over, the search comes upon that.) Other properties are not checked, so nothing has to be visible on the way.
//!
//! *It does not go round in circles.* Every move makes the state [older](super::state::State::age), as the search asserts. So the
//! condition that partial order reductions need for cycles isn't needed here.
//!
//! An *end* is a state in which nothing has to happen, though something still may: an entry point is used, or a reaction that
//! can't answer gives up. Here, that it never does is a move of its own, [`Move::Never`]. An end is then a state without moves.
//! A question that expires needs no such move: either it is answered, or its timer comes due, which closes it.

use std::collections::BTreeMap;

use super::{
    compile::Model,
    footprint::{Access, Agent, Place},
    state::{Move, State},
};

/// What is known about a model before the search.
#[derive(Debug)]
pub(crate) struct Reduction<'m> {
    model: &'m Model,
    agents: Vec<Known>,
    /// Who can bring what is missing.
    givers: BTreeMap<Place, Vec<Other>>,
}

#[derive(Debug)]
struct Known {
    agent: Agent,
    service: Option<usize>,
    takes: Vec<Place>,
    /// Who conflicts with it: as long as its service did not decide, and then.
    conflicts: [Vec<Other>; 2],
}

/// Another agent, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Other {
    agent: usize,
    /// Even when that agent's service decided.
    even_decided: bool,
}

/// What an agent touches: as long as its service did not decide, and then.
type Touches = [Vec<(Place, Access)>; 2];

/// Who touches a place, and how.
type Touched = BTreeMap<Place, Vec<(Other, Access)>>;

impl<'m> Reduction<'m> {
    pub(crate) fn of(model: &'m Model) -> Self {
        let agents = model.agents();
        let footprints: Vec<Touches> = agents
            .iter()
            .map(|agent| {
                [false, true].map(|decided| {
                    let touches = model.footprint(*agent, decided).touches.into_iter();
                    touches.filter(|(place, access)| !(model.rules.forgets)(*place, *access)).collect()
                })
            })
            .collect();
        let mut touched = Touched::new();
        for (agent, [open, decided]) in footprints.iter().enumerate() {
            for (place, access) in open {
                let other = Other { agent, even_decided: decided.contains(&(*place, *access)) };
                touched.entry(*place).or_default().push((other, *access));
            }
        }
        let known = |(ix, (agent, footprint)): (usize, (&Agent, &Touches))| Known {
            agent: *agent,
            service: model.service_of(*agent),
            takes: model.footprint(*agent, false).takes().collect(),
            conflicts: [0, 1].map(|decided| conflicts(ix, &footprint[decided], &touched)),
        };
        let known = agents.iter().zip(&footprints).enumerate().map(known).collect();
        let givers = |(place, touches): (&Place, &Vec<(Other, Access)>)| {
            let adds = touches.iter().filter(|(_, access)| *access == Access::Add);
            (*place, adds.map(|(other, _)| *other).collect())
        };
        Self { model, agents: known, givers: touched.iter().map(givers).collect() }
    }

    /// The moves that have to be made in a state, and where they lead. None at an end.
    pub(crate) fn next(&self, state: &State) -> Vec<(Move, State)> {
        let mut moves: Vec<Option<Vec<(Move, State)>>> = self.agents.iter().map(|_| None).collect();
        let mut fewest: Option<(usize, Vec<usize>)> = None;
        for seed in 0..self.agents.len() {
            if moves[seed].get_or_insert_with(|| self.moves_of(state, seed)).is_empty() {
                continue;
            }
            let set = self.stubborn(state, seed);
            let count = set.iter().map(|ix| moves[*ix].get_or_insert_with(|| self.moves_of(state, *ix)).len()).sum();
            if fewest.as_ref().is_none_or(|(fewest, _)| count < *fewest) {
                fewest = Some((count, set));
            }
            if count == 1 {
                break;
            }
        }
        let set = fewest.map(|(_, set)| set).unwrap_or_default();
        set.into_iter().flat_map(|ix| moves[ix].take().unwrap_or_default()).collect()
    }

    /// The closed set around one agent, sorted.
    fn stubborn(&self, state: &State, seed: usize) -> Vec<usize> {
        let mut chosen = vec![false; self.agents.len()];
        let mut todo = vec![seed];
        while let Some(ix) = todo.pop() {
            if std::mem::replace(&mut chosen[ix], true) {
                continue;
            }
            let known = &self.agents[ix];
            let others = match Self::missing(state, known) {
                Some(place) => self.givers.get(&place).map_or(&[][..], Vec::as_slice),
                None => &known.conflicts[usize::from(self.decided(state, known))],
            };
            let still =
                others.iter().filter(|other| other.even_decided || !self.decided(state, &self.agents[other.agent]));
            todo.extend(still.map(|other| other.agent));
        }
        (0..).zip(chosen).filter(|(_, chosen)| *chosen).map(|(ix, _)| ix).collect()
    }

    fn moves_of(&self, state: &State, ix: usize) -> Vec<(Move, State)> {
        let known = &self.agents[ix];
        if Self::missing(state, known).is_some() {
            return Vec::new();
        }
        let mut moves = Vec::new();
        self.model.moves_of(state, known.agent, &mut moves);
        if let Agent::Once(actor) = known.agent
            && self.model.actors[usize::from(actor)].expires_with().is_none()
        {
            moves.push(Move::Never(actor));
        }
        moves.into_iter().filter_map(|by| Some((by, self.model.next(state, by)?))).collect()
    }

    fn missing(state: &State, known: &Known) -> Option<Place> {
        known.takes.iter().copied().find(|place| !Model::has(state, *place))
    }

    /// Whether it answers as one does when all is decided, now and for ever.
    fn decided(&self, state: &State, known: &Known) -> bool {
        self.model.rules.one_outcome && known.service.is_some_and(|service| state.decided[service])
    }
}

/// Those whose order with an agent of this footprint makes a difference.
fn conflicts(ix: usize, footprint: &[(Place, Access)], touched: &Touched) -> Vec<Other> {
    let mut conflicts: BTreeMap<usize, bool> = BTreeMap::new();
    for (place, access) in footprint {
        let theirs = touched.get(place).into_iter().flatten();
        for (other, _) in theirs.filter(|(other, theirs)| other.agent != ix && access.conflicts(*theirs)) {
            *conflicts.entry(other.agent).or_default() |= other.even_decided;
        }
    }
    conflicts.into_iter().map(|(agent, even_decided)| Other { agent, even_decided }).collect()
}
