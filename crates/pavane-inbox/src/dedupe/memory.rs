use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use dashmap::{DashMap, mapref::entry::Entry as Slot};
use pavane_contract::Clock;

use super::{Claim, DedupeStore, Error, Held, after};

/// Remembers in this process only: for tests, and where it does no harm to forget at a restart.
///
/// Bounded: it keeps two generations of at most `capacity` keys each, and drops the older one when the younger is full. So at
/// least the last `capacity` keys are remembered, less those of claims that are held; these are never dropped.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    capacity: usize,
    generations: RwLock<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: DashMap<String, Entry>,
    old: DashMap<String, Entry>,
}

#[derive(Debug, Clone)]
enum Entry {
    Held { token: String, until: i64 },
    Done { answer: String },
}

impl MemoryStore {
    /// Remembers at least the last `capacity` keys.
    pub fn new(clock: Arc<dyn Clock>, capacity: usize) -> Self {
        Self { clock, capacity: capacity.max(1), generations: RwLock::default() }
    }

    /// Drops the older generation when the younger is full.
    fn make_room(&self) -> Result<(), Error> {
        let full = |generations: &Generations| generations.young.len() >= self.capacity;
        if !full(&self.generations.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        if !full(&generations) {
            return Ok(());
        }
        let now = self.clock.now().as_microsecond();
        let dropped = std::mem::take(&mut generations.old);
        generations.old = std::mem::take(&mut generations.young);
        for (key, entry) in dropped {
            // If a held claim were dropped, the same work could be done twice at the same time.
            if matches!(entry, Entry::Held { until, .. } if until > now) {
                generations.young.insert(key, entry);
            }
        }
        if full(&generations) { Err(Error::Full(self.capacity)) } else { Ok(()) }
    }

    /// Changes the entry of a claim that is still held.
    fn settle(&self, held: Held, becomes: Option<Entry>) -> Result<(), Error> {
        let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        for generation in [&generations.young, &generations.old] {
            if let Slot::Occupied(mut slot) = generation.entry(held.key.clone()) {
                match slot.get() {
                    Entry::Held { token, .. } if *token == held.token => {
                        match becomes {
                            Some(entry) => drop(slot.insert(entry)),
                            None => drop(slot.remove()),
                        }
                        return Ok(());
                    }
                    Entry::Held { .. } | Entry::Done { .. } => return Err(Error::Lost(held.key)),
                }
            }
        }
        Err(Error::Lost(held.key))
    }
}

impl DedupeStore for MemoryStore {
    async fn claim(&self, key: &str, lease: Duration) -> Result<Claim, Error> {
        self.make_room()?;
        let held = Held::new(key, &*self.clock);
        let now = self.clock.now().as_microsecond();
        let fresh = Entry::Held { token: held.token.clone(), until: after(&*self.clock, lease) };
        let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        // The younger slot is locked while the older is read, so two claims of one key can't both look at the older.
        let slot = generations.young.entry(key.to_owned());
        let known = match &slot {
            Slot::Occupied(slot) => Some(slot.get().clone()),
            Slot::Vacant(_) => generations.old.get(key).map(|entry| entry.clone()),
        };
        match known {
            Some(Entry::Done { answer }) => Ok(Claim::Done(answer)),
            Some(Entry::Held { until, .. }) if until > now => {
                Ok(Claim::Busy { left: super::until(&*self.clock, until) })
            }
            _ => {
                generations.old.remove(key);
                slot.insert(fresh);
                Ok(Claim::Held(held))
            }
        }
    }

    async fn confirm(&self, held: Held, answer: String) -> Result<(), Error> {
        self.settle(held, Some(Entry::Done { answer }))
    }

    async fn release(&self, held: Held) -> Result<(), Error> {
        match self.settle(held, None) {
            // Another claim has it: there is nothing to release.
            Err(Error::Lost(_)) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
