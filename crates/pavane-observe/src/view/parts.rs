//! What a join has, and what a list lacks.

use std::collections::BTreeSet;

use pavane_contract::{EventId, Item};

use super::saga::{Saga, Wait};
use crate::rules::{Group, PartRule, Rule};

/// What there is of a part that a join waits for.
#[derive(Debug)]
pub(super) struct There {
    /// The first event, or the first of each item.
    pub(super) events: Vec<usize>,
    /// How many there will be: as many as there are items, and one while none of them has come.
    pub(super) of: usize,
}

impl There {
    pub(super) fn is_all(&self) -> bool {
        self.events.len() == self.of
    }
}

impl Saga {
    pub(super) fn there(&self, part: &PartRule) -> There {
        let mut events = self.firsts(&part.kinds, part.every);
        if !part.every {
            return There { events, of: 1 };
        }
        events.retain(|event| self.events[*event].item.is_some());
        let of = events.first().and_then(|first| self.events[*first].item).map_or(1, Item::count);
        There { events, of: of as usize }
    }

    /// The events that a join has, in the order of the stream: the first of each part, and of each item of one.
    pub(super) fn arrived(&self, join: &Rule) -> Vec<usize> {
        let mut arrived: Vec<usize> = join.parts.iter().flat_map(|part| self.there(part).events).collect();
        arrived.sort_unstable();
        arrived
    }

    /// Whether a join has an event of each part.
    pub(super) fn has_all(&self, join: &Rule) -> bool {
        join.parts.iter().all(|part| self.there(part).is_all())
    }

    /// The items that a list lacks, of the events that these led to. `None` while there is nothing of the list.
    pub(super) fn lacks(&self, on: &[usize], list: &Group) -> Option<Vec<Item>> {
        let (item, in_place) = list.awaits.split_first()?;
        let led_to = || self.events.iter().filter(|event| event.cause().is_some_and(|cause| on.contains(&cause)));
        if led_to().any(|event| in_place.contains(&event.kind)) {
            return Some(Vec::new());
        }
        let there: BTreeSet<Item> =
            led_to().filter(|event| event.kind == *item).filter_map(|event| event.item).collect();
        let count = there.first()?.count();
        let all = (1..=count).filter_map(|number| Item::new(number, count));
        Some(all.filter(|item| !there.contains(item)).collect())
    }

    /// The events that a reaction runs on together with this one: for a join all that it has, as it may fail on any of them.
    pub(super) fn run_on(&self, rule: &Rule, event: Option<EventId>) -> Vec<usize> {
        let Some(event) = event.and_then(|event| self.position(event)) else { return Vec::new() };
        let arrived = self.arrived(rule);
        if arrived.contains(&event) { arrived } else { vec![event] }
    }

    /// Whether a reaction's dead letter of an event keeps this wait of the reaction from ending.
    pub(super) fn is_held_up(&self, wait: &Wait, rule: &Rule, event: Option<EventId>) -> bool {
        // There is one thing to undo, on whatever trigger it failed.
        rule.is_undo() || self.run_on(rule, event).contains(&usize::from(wait.on))
    }
}
