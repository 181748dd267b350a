//! Which events a saga has several of, and of which list they are the items.

mod expand;
mod sizes;

use std::collections::BTreeMap;

pub(crate) use expand::expand;
use pavane_contract::EventRef;
pub(crate) use sizes::{Sizes, combinations};

use crate::{Emission, Manifest, Reaction, manifest::Emitter};

/// The events that have items, each with its list. A list has the name of the event that it is a list of.
#[derive(Debug)]
pub(crate) struct Items<'a> {
    lists: BTreeMap<&'a EventRef, &'a EventRef>,
}

impl<'a> Items<'a> {
    /// The stamp goes from event to event: from a list through the reactions for each item, and through their undos.
    pub(crate) fn of(manifests: &'a [Manifest]) -> Self {
        let groups = manifests.iter().flat_map(Manifest::emissions);
        let lists = groups.filter_map(of_list).map(|event| (event, event)).collect();
        let mut items = Self { lists };
        let mut known = 0;
        while known < items.lists.len() {
            known = items.lists.len();
            for manifest in manifests {
                for reaction in &manifest.reactions {
                    let Some(list) = items.list_of(manifest, reaction) else { continue };
                    for event in stamped(reaction) {
                        items.lists.entry(event).or_insert(list);
                    }
                }
            }
        }
        items
    }

    /// The list of an event. `None` where the event has no items.
    pub(crate) fn list(&self, event: &EventRef) -> Option<&'a EventRef> {
        self.lists.get(event).copied()
    }

    pub(crate) fn has(&self, event: &EventRef) -> bool {
        self.list(event).is_some()
    }

    /// The list for whose items a reaction runs. `None` where it runs once, and where its event has no items.
    pub(crate) fn list_of(&self, manifest: &Manifest, reaction: &Reaction) -> Option<&'a EventRef> {
        let step = manifest.step_of(reaction).and_then(Emitter::reaction).unwrap_or(reaction);
        if step.is_per_item() { step.on.iter().find_map(|event| self.list(event)) } else { None }
    }
}

/// The event of a list.
pub(crate) fn of_list(group: &Emission) -> Option<&EventRef> {
    if let Emission::Each(events) = group { events.first() } else { None }
}

/// What a reaction for each item emits with the stamp of its item. An outcome is the saga's, and so is a timer.
pub(crate) fn stamped(reaction: &Reaction) -> impl Iterator<Item = &EventRef> {
    let groups = reaction
        .emits
        .iter()
        .filter(|group| matches!(group, Emission::All(_) | Emission::OneOf(_) | Emission::Maybe(_)));
    groups.flat_map(Emission::events).chain(&reaction.gives_up_with)
}
