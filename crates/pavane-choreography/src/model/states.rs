//! The states that a search has seen. Each is kept whole, so two are never taken for one, and as bytes side by side, because there are many.

use std::hash::{DefaultHasher, Hasher as _};

use super::{
    compile::Model,
    footprint::Agent,
    state::{DELIVERIES_MAX, Delivery, Row, State, Used},
};
use crate::ledger;

/// No event, and no slot: more than a choreography has.
const NONE: u16 = u16::MAX;
const ROWS: [Option<ledger::State>; 6] = [
    None,
    Some(ledger::State::Running),
    Some(ledger::State::Done),
    Some(ledger::State::Undone),
    Some(ledger::State::Barred),
    Some(ledger::State::Gathering),
];
const USED: [Used; 5] = [Used::NotYet, Used::NotAsked, Used::Yes, Used::Closed, Used::Never];
const REFUSED: u8 = 0x80;

/// States of one model by number, in the order in which they were added.
#[derive(Debug)]
pub(crate) struct States<'m> {
    model: &'m Model,
    agents: Vec<Agent>,
    /// How long each is.
    width: usize,
    bytes: Vec<u8>,
    /// Where each is by its hash, and one after the other where that place was taken: its number and one, or zero.
    places: Vec<u32>,
    /// The one that is asked for.
    packed: Vec<u8>,
}

impl<'m> States<'m> {
    pub(crate) fn of(model: &'m Model) -> Self {
        let (agents, places) = (model.agents(), vec![0; 64]);
        let mut states = Self { model, agents, width: 0, bytes: Vec::new(), places, packed: Vec::new() };
        states.pack(&model.nothing_yet());
        states.width = states.packed.len();
        states
    }

    /// How many bytes a state takes.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// Adds a state. `false` when it is there already.
    pub(crate) fn add(&mut self, state: &State) -> bool {
        self.pack(state);
        let mut at = self.first_place(&self.packed);
        while self.places[at] != 0 {
            if self.bytes_of(self.places[at]) == self.packed {
                return false;
            }
            at = self.place_after(at);
        }
        self.bytes.extend_from_slice(&self.packed);
        self.places[at] = u32::try_from(self.len()).unwrap_or(u32::MAX);
        if self.len() * 2 > self.places.len() {
            self.grow();
        }
        true
    }

    pub(crate) fn get(&self, number: usize) -> State {
        self.unpack(&self.bytes[number * self.width..][..self.width])
    }

    fn bytes_of(&self, place: u32) -> &[u8] {
        &self.bytes[(place as usize - 1) * self.width..][..self.width]
    }

    fn first_place(&self, packed: &[u8]) -> usize {
        let mut hasher = DefaultHasher::new();
        hasher.write(packed);
        usize::try_from(hasher.finish() % self.places.len() as u64).unwrap_or_default()
    }

    fn place_after(&self, at: usize) -> usize {
        (at + 1) % self.places.len()
    }

    fn grow(&mut self) {
        self.places = vec![0; self.places.len() * 2];
        for place in 1..=u32::try_from(self.len()).unwrap_or(u32::MAX) {
            let mut at = self.first_place(self.bytes_of(place));
            while self.places[at] != 0 {
                at = self.place_after(at);
            }
            self.places[at] = place;
        }
    }

    fn pack(&mut self, state: &State) {
        let Self { agents, packed, .. } = self;
        packed.clear();
        packed.extend(state.deliveries.iter().map(|one| one.waiting * (DELIVERIES_MAX + 1) + one.handled));
        for (row, refused) in state.rows.iter().zip(&state.refused) {
            let at = ROWS.iter().position(|known| *known == row.state).unwrap_or_default();
            packed.push(u8::try_from(at).unwrap_or_default() | if *refused { REFUSED } else { 0 });
            packed.extend(row.kept.unwrap_or(NONE).to_le_bytes());
            packed.extend(row.by.unwrap_or(NONE).to_le_bytes());
        }
        packed.extend(agents.iter().filter_map(|agent| match agent {
            Agent::Slot(_) => None,
            Agent::Timer(event) => Some(state.timers[usize::from(*event)]),
            Agent::Once(actor) => Some(state.used[usize::from(*actor)] as u8),
        }));
        packed.extend(state.decided.iter().copied().map(u8::from));
        packed.extend([state.completed, state.aborted].map(u8::from));
    }

    fn unpack(&self, bytes: &[u8]) -> State {
        let mut state = self.model.nothing_yet();
        let mut rest = bytes.iter().copied();
        let mut next = || rest.next().unwrap_or_default();
        for delivery in &mut state.deliveries {
            let one = next();
            *delivery = Delivery { waiting: one / (DELIVERIES_MAX + 1), handled: one % (DELIVERIES_MAX + 1) };
        }
        for (row, refused) in state.rows.iter_mut().zip(&mut state.refused) {
            let tag = next();
            let [kept, by] =
                [(); 2].map(|()| u16::from_le_bytes([next(), next()])).map(|ix| (ix != NONE).then_some(ix));
            *row = Row { state: ROWS[usize::from(tag & !REFUSED)], kept, by };
            *refused = tag & REFUSED != 0;
        }
        for agent in &self.agents {
            match agent {
                Agent::Slot(_) => {}
                Agent::Timer(event) => state.timers[usize::from(*event)] = next(),
                Agent::Once(actor) => state.used[usize::from(*actor)] = USED[usize::from(next())],
            }
        }
        state.decided.iter_mut().for_each(|decided| *decided = next() != 0);
        state.completed = next() != 0;
        state.aborted = next() != 0;
        state
    }
}
