//! All sagas in memory, and which of them are dropped first.

use std::collections::{HashMap, HashSet, VecDeque};

use pavane_contract::SagaId;

use super::{
    Limits,
    saga::{Added, New, Saga},
};

/// The sagas by number. A number is reused only after its saga was dropped.
#[derive(Debug, Default)]
pub(super) struct Sagas {
    slots: Vec<Option<Saga>>,
    free: Vec<u32>,
    numbers: HashMap<SagaId, u32>,
    /// Those that are not settled.
    open: HashSet<u32>,
    /// In the order in which they were settled, and came. Entries may be out of date.
    settled: VecDeque<(u32, SagaId)>,
    came: VecDeque<(u32, SagaId)>,
    events: usize,
    pub(super) forgotten: u64,
    pub(super) forgotten_open: u64,
}

impl Sagas {
    /// The saga's number, and whether it is new.
    pub(super) fn open(&mut self, id: SagaId, key: &str) -> (u32, bool) {
        if let Some(number) = self.numbers.get(&id) {
            return (*number, false);
        }
        let saga = Some(Saga::new(id, key));
        let number = if let Some(number) = self.free.pop() {
            self.slots[number as usize] = saga;
            number
        } else {
            self.slots.push(saga);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        self.numbers.insert(id, number);
        self.open.insert(number);
        self.came.push_back((number, id));
        (number, true)
    }

    pub(super) fn add(&mut self, number: u32, new: &New, max: usize) -> Added {
        let added = self.get_mut(number).add(new, max);
        self.events += usize::from(added == Added::New);
        added
    }

    pub(super) fn find(&self, id: SagaId) -> Option<&Saga> {
        self.numbers.get(&id).map(|number| self.get(*number))
    }

    /// The number must have been assigned, and its saga not dropped since.
    #[expect(clippy::expect_used, reason = "numbers of forgotten sagas are dropped with them")]
    pub(super) fn get(&self, number: u32) -> &Saga {
        self.slots[number as usize].as_ref().expect("a saga that is kept")
    }

    #[expect(clippy::expect_used, reason = "as `get`")]
    pub(super) fn get_mut(&mut self, number: u32) -> &mut Saga {
        self.slots[number as usize].as_mut().expect("a saga that is kept")
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Saga> {
        self.slots.iter().flatten()
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.numbers.values().copied()
    }

    /// The numbers of those that are not settled.
    pub(super) fn open_ones(&self) -> impl Iterator<Item = u32> {
        self.open.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn settle(&mut self, number: u32, settled: bool) {
        let saga = self.get_mut(number);
        if std::mem::replace(&mut saga.settled, settled) == settled {
            return;
        }
        if settled {
            saga.events.shrink_to_fit();
            let id = saga.id;
            self.open.remove(&number);
            self.settled.push_back((number, id));
        } else {
            self.open.insert(number);
        }
    }

    /// Drops what exceeds the limits: settled sagas first, the oldest first.
    pub(super) fn forget_beyond(&mut self, limits: &Limits) {
        while self.events > limits.events_max || self.len() > limits.sagas_max {
            let settled = self.settled.pop_front();
            let was_settled = settled.is_some();
            let Some((number, id)) = settled.or_else(|| self.came.pop_front()) else { break };
            let current = self.numbers.get(&id) == Some(&number);
            if !current || (was_settled && !self.get(number).settled) {
                continue;
            }
            self.forget(number, id);
        }
        // What was dropped through one queue must not pile up in the other.
        if self.came.len() > 2 * self.len() + 1000 {
            let numbers = &self.numbers;
            self.came.retain(|(number, id)| numbers.get(id) == Some(number));
        }
    }

    fn forget(&mut self, number: u32, id: SagaId) {
        let Some(saga) = self.slots[number as usize].take() else { return };
        self.events -= saga.events.len();
        self.numbers.remove(&id);
        self.open.remove(&number);
        self.free.push(number);
        self.forgotten += u64::from(saga.settled);
        self.forgotten_open += u64::from(!saga.settled);
    }
}
