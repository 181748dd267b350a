//! A reduced search makes moves in whatever order is enough, so its counterexample may be longer than it has to be.

use std::mem::discriminant;

use super::{
    compile::Model,
    search::{self, Found},
    state::{Move, State},
    violation::ViolationKind,
};

/// How many states are looked at in search of the shortest counterexample.
const STATES_MAX: usize = 50_000;

/// The shortest counterexample, if every interleaving up to its length can be looked at. If not, one of the same violation
/// from which no single move can be left out.
pub(crate) fn shorten(model: &Model, mut found: Found) -> Found {
    if found.moves.is_empty() {
        return found;
    }
    // They only say that nothing else happened.
    found.moves.retain(|by| !matches!(by, Move::Never(_)));
    if let Some(shortest) = search::shallow(model, found.moves.len(), STATES_MAX) {
        return Found { states: found.states, ..shortest };
    }
    let mut at = 0;
    while at < found.moves.len() {
        let others = [&found.moves[..at], &found.moves[at + 1..]].concat();
        match replay(model, &others) {
            Some((moves, kind)) if discriminant(&kind) == discriminant(&found.kind) => {
                found = Found { kind, moves, states: found.states };
                at = 0;
            }
            _ => at += 1,
        }
    }
    found
}

/// Makes those of the moves that can be made, until something is wrong.
fn replay(model: &Model, moves: &[Move]) -> Option<(Vec<Move>, ViolationKind)> {
    let mut state = model.nothing_yet();
    let mut made = Vec::new();
    for by in moves {
        let can_begin = !made.is_empty() || model.beginnings().contains(by);
        let Some(next) = model.next(&state, *by).filter(|_| can_begin) else { continue };
        made.push(*by);
        state = next;
        if let Some(kind) = model.wrong_now(&state) {
            return Some((made, kind));
        }
    }
    let kind = model.wrong_at_the_end(&state).filter(|_| !made.is_empty() && is_end(model, &state))?;
    Some((made, kind))
}

/// Whether nothing has to happen any more.
fn is_end(model: &Model, state: &State) -> bool {
    let mut moves = Vec::new();
    model.moves(state, &mut moves);
    !moves.into_iter().any(|by| by.must_happen() && model.next(state, by).is_some())
}
