//! A saga with items as one without: with a copy of each event, reaction and undo for each item.
//!
//! The copies of an undo are undone one by one, and in one transaction in the runtime. So there are more interleavings than can
//! happen, and no fewer.

use pavane_contract::EventRef;

use super::{Items, Sizes};
use crate::{Choreography, Emission, Entry, JoinPart, Manifest, Question, Reaction, Role, Saga};

/// The choreography and one of its sagas, with so many items of each list. With one, all names are as they were.
pub(crate) fn expand(choreography: &Choreography, saga: &Saga, sizes: &Sizes) -> (Choreography, Saga) {
    let expander = Expander { items: Items::of(choreography.manifests()), sizes };
    let manifests = choreography.manifests().iter().map(|manifest| expander.manifest(manifest));
    let sagas = choreography.sagas().iter().map(|saga| expander.saga(saga));
    (sagas.fold(Choreography::of(manifests), Choreography::saga), expander.saga(saga))
}

struct Expander<'a> {
    items: Items<'a>,
    sizes: &'a Sizes,
}

impl Expander<'_> {
    fn manifest(&self, manifest: &Manifest) -> Manifest {
        Manifest {
            service: manifest.service.clone(),
            entries: manifest.entries.iter().map(|entry| self.entry(entry)).collect(),
            reactions: manifest.reactions.iter().flat_map(|reaction| self.reactions(manifest, reaction)).collect(),
            events: manifest.events.clone(),
            outlive_outcome: self.all(&manifest.outlive_outcome),
        }
    }

    fn entry(&self, Entry { name, emits, answers }: &Entry) -> Entry {
        let question = |Question { asks, expires_with }: &Question| Question {
            asks: self.copy(asks, 0),
            expires_with: expires_with.as_ref().map(|event| self.copy(event, 0)),
        };
        Entry { name: name.clone(), emits: self.emits(emits, 0), answers: answers.as_ref().map(question) }
    }

    /// The copies of a reaction: one for each item, or one.
    fn reactions(&self, manifest: &Manifest, reaction: &Reaction) -> Vec<Reaction> {
        let Some(list) = self.items.list_of(manifest, reaction) else {
            return vec![self.reaction(reaction, None, 0)];
        };
        // Of none, there is one that never runs.
        let size = self.sizes.size(list).max(1);
        let copies = (0..size).map(|item| Reaction {
            name: numbered(&reaction.name, item, size),
            ..self.reaction(reaction, Some(list), item)
        });
        copies.collect()
    }

    /// The copy of a reaction for one item of a list.
    fn reaction(&self, reaction: &Reaction, list: Option<&EventRef>, item: usize) -> Reaction {
        let role = match &reaction.role {
            Role::React | Role::Each => Role::React,
            Role::Join { of } => Role::Join { of: of.iter().flat_map(|part| self.parts(part)).collect() },
            Role::Undo { undoes } => Role::Undo { undoes: self.copy(undoes, item) },
        };
        // The undo of each item has the same triggers.
        let is_ours = |event: &EventRef| reaction.is_per_item() && list.is_some() && self.items.list(event) == list;
        let heard = |event: &EventRef| if is_ours(event) { vec![self.copy(event, item)] } else { self.copies(event) };
        Reaction {
            name: reaction.name.clone(),
            role,
            on: reaction.on.iter().flat_map(heard).collect(),
            emits: self.emits(&reaction.emits, item),
            effect: reaction.effect,
            gives_up_with: reaction.gives_up_with.as_ref().map(|event| self.copy(event, item)),
            after_undo_of: self.all(&reaction.after_undo_of),
        }
    }

    fn parts(&self, part: &JoinPart) -> Vec<JoinPart> {
        match part {
            JoinPart::OneOf(events) => vec![JoinPart::OneOf(self.all(events))],
            JoinPart::Every(event) => {
                self.copies(event).into_iter().map(|event| JoinPart::OneOf(vec![event])).collect()
            }
        }
    }

    fn emits(&self, groups: &[Emission], item: usize) -> Vec<Emission> {
        let one = |events: &[EventRef]| events.iter().map(|event| self.copy(event, item)).collect();
        let group = |group: &Emission| match group {
            Emission::All(events) => Emission::All(one(events)),
            Emission::Each(events) => self.list(events),
            Emission::OneOf(events) => Emission::OneOf(one(events)),
            Emission::Maybe(events) => Emission::Maybe(one(events)),
            Emission::Outcome(events) => Emission::Outcome(one(events)),
            Emission::Scheduled(events) => Emission::Scheduled(one(events)),
        };
        groups.iter().map(group).collect()
    }

    /// A list that must not be empty has one item where others of its event have none.
    fn list(&self, events: &[EventRef]) -> Emission {
        match events {
            // Nothing that it could be.
            [] => Emission::OneOf(Vec::new()),
            [event, none, ..] if self.sizes.size(event) == 0 => Emission::All(vec![self.copy(none, 0)]),
            [event, ..] => Emission::All(self.copies(event)),
        }
    }

    fn saga(&self, saga: &Saga) -> Saga {
        Saga {
            name: saga.name.clone(),
            starts_with: saga.starts_with.as_ref().map(|event| self.copy(event, 0)),
            completes_with: self.all(&saga.completes_with),
            aborts_with: self.all(&saga.aborts_with),
            within: saga.within,
            terminal: self.all(&saga.terminal),
            without_undo: self.all(&saga.without_undo),
        }
    }

    fn all(&self, events: &[EventRef]) -> Vec<EventRef> {
        events.iter().flat_map(|event| self.copies(event)).collect()
    }

    /// An event of each item. The event itself where there is one, and where there is none: then nothing emits it.
    fn copies(&self, event: &EventRef) -> Vec<EventRef> {
        let size = self.items.list(event).map_or(1, |list| self.sizes.size(list)).max(1);
        let copy = |item| EventRef { name: numbered(&event.name, item, size), version: event.version };
        (0..size).map(copy).collect()
    }

    /// The event of one item, or of the last one.
    fn copy(&self, event: &EventRef, item: usize) -> EventRef {
        let mut copies = self.copies(event);
        copies.truncate(item + 1);
        copies.pop().unwrap_or_else(|| event.clone())
    }
}

/// No event and no reaction of a service has such a name.
fn numbered(name: &str, item: usize, size: usize) -> String {
    if size == 1 { name.to_owned() } else { format!("{name} (item {} of {size})", item + 1) }
}
