//! The manifests as a graph of events and actors: who emits what, and what runs on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pavane_contract::EventRef;

use crate::{Emission, JoinPart, Manifest, Question, Reaction, Saga, manifest::Emitter};

/// An emitter of events: a reaction of a service, or one of its entry points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actor<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) emitter: Emitter<'a>,
}

impl<'a> Actor<'a> {
    pub(crate) fn service(&self) -> &'a str {
        &self.manifest.service
    }

    pub(crate) fn name(&self) -> &'a str {
        self.emitter.name()
    }

    pub(crate) fn reaction(&self) -> Option<&'a Reaction> {
        self.emitter.reaction()
    }

    pub(crate) fn emits(&self) -> &'a [Emission] {
        self.emitter.emits()
    }

    /// What it may emit without giving up.
    pub(crate) fn answers(&self) -> impl Iterator<Item = &'a EventRef> + use<'a> {
        self.emits().iter().flat_map(Emission::events)
    }

    /// Everything that it may emit.
    pub(crate) fn emitted(&self) -> impl Iterator<Item = &'a EventRef> + use<'a> {
        self.emitter.emitted()
    }

    /// The question that it answers, if it is an entry point that does.
    pub(crate) fn question(&self) -> Option<&'a Question> {
        match self.emitter {
            Emitter::Entry(entry) => entry.answers.as_ref(),
            Emitter::Reaction(_) => None,
        }
    }

    /// Whether it runs on an event, or answers it.
    pub(crate) fn hears(&self, event: &EventRef) -> bool {
        let asked = self.question().is_some_and(|question| question.asks == *event);
        asked || self.reaction().is_some_and(|reaction| reaction.on.contains(event))
    }

    pub(crate) fn is_forward(&self) -> bool {
        self.reaction().is_some_and(Reaction::is_forward)
    }

    pub(crate) fn is_undo(&self) -> bool {
        self.reaction().is_some_and(|reaction| reaction.undoes().is_some())
    }

    pub(crate) fn is_join(&self) -> bool {
        self.reaction().is_some_and(|reaction| !reaction.parts().is_empty())
    }

    /// A part of a join of which none of these events is.
    pub(crate) fn lacks(&self, events: &BTreeSet<EventRef>) -> Option<&'a JoinPart> {
        let mut parts = self.reaction().into_iter().flat_map(Reaction::parts);
        parts.find(|part| !part.events().iter().any(|event| events.contains(event)))
    }

    /// Whether a reaction of the same service undoes it.
    pub(crate) fn has_undo(&self) -> bool {
        self.manifest.undo_of(self.emitter).is_some()
    }

    /// Whether it runs once for each item.
    pub(crate) fn has_items(&self) -> bool {
        self.reaction().is_some_and(|reaction| self.manifest.has_items(reaction))
    }

    /// `service/name`.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.service(), self.name())
    }
}

/// A way through the choreography: events and `service/reaction` in turn.
pub(crate) type Way = Vec<String>;

#[derive(Debug)]
pub(crate) struct Graph<'a> {
    /// Entry points and reactions in the order in which they were declared.
    pub(crate) actors: Vec<Actor<'a>>,
}

impl<'a> Graph<'a> {
    pub(crate) fn of(manifests: &'a [Manifest]) -> Self {
        let of_one = |manifest: &'a Manifest| {
            let entries = manifest.entries.iter().map(Emitter::Entry);
            let emitters = entries.chain(manifest.reactions.iter().map(Emitter::Reaction));
            emitters.map(move |emitter| Actor { manifest, emitter })
        };
        Self { actors: manifests.iter().flat_map(of_one).collect() }
    }

    pub(crate) fn reactions(&self) -> impl Iterator<Item = (Actor<'a>, &'a Reaction)> {
        self.actors.iter().filter_map(|actor| Some((*actor, actor.reaction()?)))
    }

    pub(crate) fn questions(&self) -> impl Iterator<Item = (Actor<'a>, &'a Question)> {
        self.actors.iter().filter_map(|actor| Some((*actor, actor.question()?)))
    }

    pub(crate) fn emitters(&self, event: &EventRef) -> impl Iterator<Item = Actor<'a>> {
        self.actors.iter().copied().filter(move |actor| actor.emitted().any(|emitted| emitted == event))
    }

    pub(crate) fn consumers(&self, event: &EventRef) -> impl Iterator<Item = Actor<'a>> {
        self.actors.iter().copied().filter(move |actor| actor.hears(event))
    }

    /// Every event that is emitted, sorted.
    pub(crate) fn emitted(&self) -> BTreeSet<&'a EventRef> {
        self.actors.iter().flat_map(Actor::emitted).collect()
    }

    /// Whether forward reactions, and answers to questions, lead from `event` to one of `ends`.
    pub(crate) fn leads_to(&self, event: &EventRef, ends: &[EventRef]) -> bool {
        let leads_on = |actor: Actor<'a>| actor.is_forward() || actor.question().is_some();
        let forward = |actor: Actor<'a>| if leads_on(actor) { actor.emitted().collect() } else { Vec::new() };
        ends.contains(event) || self.way(event, |reached| ends.contains(reached), forward).is_some()
    }

    /// The events that follow from some, with these, by whatever reactions; not beyond the events of `stop`, nor these. A join
    /// follows when each of its parts is there.
    pub(crate) fn reached<'e>(
        &self,
        from: impl IntoIterator<Item = &'e EventRef>,
        stop: &[EventRef],
    ) -> BTreeSet<EventRef> {
        let mut queue: Vec<EventRef> = from.into_iter().cloned().collect();
        let mut reached = BTreeSet::new();
        while let Some(event) = queue.pop() {
            if !stop.contains(&event) && reached.insert(event.clone()) {
                let runs = self.consumers(&event).filter(|actor| actor.lacks(&reached).is_none());
                queue.extend(runs.flat_map(|actor| actor.emitted()).cloned());
            }
        }
        reached
    }

    /// The shortest way from one event to another that `found` accepts. `next` says where an actor leads.
    pub(crate) fn way(
        &self,
        from: &EventRef,
        found: impl Fn(&EventRef) -> bool,
        next: impl Fn(Actor<'a>) -> Vec<&'a EventRef>,
    ) -> Option<Way> {
        let mut ways: BTreeMap<EventRef, Way> = BTreeMap::from([(from.clone(), vec![from.name.clone()])]);
        let mut queue = VecDeque::from([from.clone()]);
        while let Some(event) = queue.pop_front() {
            let so_far = ways.get(&event).cloned().unwrap_or_default();
            for actor in self.consumers(&event) {
                for next in next(actor) {
                    let mut way = so_far.clone();
                    way.extend([actor.label(), next.name.clone()]);
                    if found(next) {
                        return Some(way);
                    }
                    if !ways.contains_key(next) {
                        ways.insert(next.clone(), way);
                        queue.push_back(next.clone());
                    }
                }
            }
        }
        None
    }

    /// The shortest way from one event to another that `found` accepts, through any reactions.
    pub(crate) fn any_way(&self, from: &EventRef, found: impl Fn(&EventRef) -> bool) -> Option<Way> {
        self.way(from, found, |actor| actor.emitted().collect())
    }

    /// The shortest way from the start of `saga` to `event`. Empty when there is none.
    pub(crate) fn way_from_start(&self, saga: &Saga, event: &EventRef) -> Way {
        let Some(start) = &saga.starts_with else { return Way::new() };
        if start == event {
            return vec![start.name.clone()];
        }
        self.any_way(start, |reached| reached == event).unwrap_or_default()
    }

    /// The events on the way to the saga's success: a forward reaction runs on each of them.
    pub(crate) fn progress(&self, saga: &Saga) -> BTreeSet<&'a EventRef> {
        let on_the_way =
            |event: &&EventRef| !saga.ends().any(|end| end == *event) && self.leads_to(event, &saga.completes_with);
        self.emitted().into_iter().filter(on_the_way).collect()
    }

    /// The events of `actor` that mean that something was done: the one that its undo is for or, without an undo, those that
    /// others run on. Empty when an abort would have nothing to undo.
    pub(crate) fn done_events(&self, saga: &Saga, actor: Actor<'a>) -> Vec<&'a EventRef> {
        let undone = |event: &&EventRef| actor.manifest.reactions.iter().any(|undo| undo.undoes() == Some(*event));
        if actor.has_undo() {
            return actor.answers().filter(undone).collect();
        }
        if !actor.is_forward() {
            return Vec::new();
        }
        let progress = self.progress(saga);
        actor.answers().filter(|event| progress.contains(event) && !saga.without_undo.contains(event)).collect()
    }
}
