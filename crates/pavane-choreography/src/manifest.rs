//! A service's part of the choreography, as plain data.

use std::{collections::BTreeSet, slice};

use pavane_contract::{
    EventRef,
    personal::{EventFields, Fields},
};
use serde::{Deserialize, Serialize};

/// A service's part of the choreography, as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The service's name.
    pub service: String,
    /// Where events enter from outside: a request, a schedule, a person.
    pub entries: Vec<Entry>,
    /// What the service does on events.
    pub reactions: Vec<Reaction>,
    /// The fields of the events that it may emit: which are personal, and which may be shown. A service of an older version
    /// declares none, so nothing of its events' bodies is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventFields>,
    /// Scheduled events that still come when the saga has its outcome. All others are cancelled when this service decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outlive_outcome: Vec<EventRef>,
}

/// An entry point: where a service emits an event that no other event caused, for example a request handler. It is a *step* when a
/// reaction of the same service undoes one of the events it emits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name, in the imperative: `place-order`.
    pub name: String,
    /// What it may emit.
    pub emits: Vec<Emission>,
    /// The question that it answers, if it does. Without one it may be used at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Question>,
}

/// What a service asks a person, and when the answer comes too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The event that asks. The service emits it itself.
    pub asks: EventRef,
    /// The scheduled event that ends the wait. An answer cancels it; once it has come due there can't be an answer any more.
    /// `None`: it never expires.
    pub expires_with: Option<EventRef>,
}

/// One reaction of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// Its name, in the imperative: `reserve-stock`. Part of the durable consumer's name.
    pub name: String,
    /// Whether it goes forward or undoes.
    pub role: Role,
    /// The events that it runs on: on each of them, unless it is a [join](Role::Join).
    pub on: Vec<EventRef>,
    /// What it may emit.
    pub emits: Vec<Emission>,
    /// Whether it calls something outside the local database.
    pub effect: bool,
    /// Its failure event: what it emits when it gives up, in place of everything else.
    pub gives_up_with: Option<EventRef>,
    /// An undo waits until the steps of its service that emit these events are undone, or barred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after_undo_of: Vec<EventRef>,
}

/// Whether a reaction goes forward or undoes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Goes forward. It is a *step* when a reaction of the same service undoes one of the events it emits.
    React,
    /// Goes forward, once for each item of the saga. Otherwise as [`React`](Self::React): as a step it has a row for each item, and its undo
    /// undoes every one.
    Each,
    /// Goes forward, once in a saga: when there is an event of each part. Otherwise as [`React`](Self::React). A reader of an older
    /// version refuses the manifest, as it would take *all of* for *any of*.
    Join {
        /// What has to be there.
        of: Vec<JoinPart>,
    },
    /// Undoes the step that emitted `undoes`.
    Undo {
        /// The event of the step.
        undoes: EventRef,
    },
}

/// What a join waits for, one of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum JoinPart {
    /// One of these events, once.
    OneOf(Vec<EventRef>),
    /// This event, of every item.
    Every(EventRef),
}

impl JoinPart {
    /// The events of the part.
    pub fn events(&self) -> &[EventRef] {
        match self {
            Self::OneOf(events) => events,
            Self::Every(event) => slice::from_ref(event),
        }
    }

    /// Its name in messages: the names of its events.
    pub fn name(&self) -> String {
        if let Self::Every(event) = self {
            return format!("every {}", event.name);
        }
        self.events().iter().map(|event| event.name.as_str()).collect::<Vec<_>>().join(" or ")
    }
}

/// What emits events. Either can be a step: then its name is that of the ledger's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature: events come from outside, or from other events")]
pub enum Emitter<'m> {
    /// An entry point.
    Entry(&'m Entry),
    /// A reaction.
    Reaction(&'m Reaction),
}

impl<'m> Emitter<'m> {
    /// Its name.
    pub fn name(self) -> &'m str {
        match self {
            Self::Entry(entry) => &entry.name,
            Self::Reaction(reaction) => &reaction.name,
        }
    }

    /// What it emits unless it gives up.
    pub fn emits(self) -> &'m [Emission] {
        match self {
            Self::Entry(entry) => &entry.emits,
            Self::Reaction(reaction) => &reaction.emits,
        }
    }

    /// The reaction, if it is one.
    pub fn reaction(self) -> Option<&'m Reaction> {
        match self {
            Self::Entry(_) => None,
            Self::Reaction(reaction) => Some(reaction),
        }
    }

    /// Every event that it may emit, its failure event included.
    pub fn emitted(self) -> impl Iterator<Item = &'m EventRef> {
        let failure_event = self.reaction().and_then(|reaction| reaction.gives_up_with.as_ref());
        self.emits().iter().flat_map(Emission::events).chain(failure_event)
    }

    /// Whether it runs once for each item of the saga.
    pub fn is_per_item(self) -> bool {
        self.reaction().is_some_and(Reaction::is_per_item)
    }
}

/// A reaction's part in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature: another part would be another protocol")]
pub enum Part<'m> {
    /// Nothing of it is ever undone.
    Plain,
    /// A step: the event `keeps`, if it emits it, is kept for its undo.
    Step {
        /// What undoes it.
        undo: &'m Reaction,
        /// The event that the undo is given.
        keeps: &'m EventRef,
    },
    /// An undo.
    Undo {
        /// What it undoes.
        step: Emitter<'m>,
        /// The step's event that it is given.
        undoes: &'m EventRef,
    },
}

/// A group of events and how they are emitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Emission {
    /// All of them, each time.
    All(Vec<EventRef>),
    /// The first, once for each item of a list. Where the list is empty: the second, if there is one; without it, the list must not be empty.
    Each(Vec<EventRef>),
    /// Exactly one of them, each time.
    OneOf(Vec<EventRef>),
    /// Any of them, or none.
    Maybe(Vec<EventRef>),
    /// As the saga's outcome: one of them if the saga has none yet, else nothing.
    Outcome(Vec<EventRef>),
    /// Published later, after a delay.
    Scheduled(Vec<EventRef>),
}

impl Emission {
    /// Declares what is emitted where the last list of `groups` is empty. Where there is none, an empty group says so: it is refused when
    /// the service starts.
    pub fn or_if_none(groups: &mut Vec<Self>, event: EventRef) {
        match groups.last_mut() {
            Some(Self::Each(events)) if events.len() == 1 => events.push(event),
            _ => groups.push(Self::Each(Vec::new())),
        }
    }

    /// The events of the group.
    pub fn events(&self) -> &[EventRef] {
        match self {
            Self::All(events)
            | Self::Each(events)
            | Self::OneOf(events)
            | Self::Maybe(events)
            | Self::Outcome(events)
            | Self::Scheduled(events) => events,
        }
    }
}

impl Reaction {
    /// Every event that the reaction may emit, its failure event included.
    pub fn emitted(&self) -> impl Iterator<Item = &EventRef> {
        self.emits.iter().flat_map(Emission::events).chain(&self.gives_up_with)
    }

    /// The event that it undoes. `None` when it goes forward.
    pub fn undoes(&self) -> Option<&EventRef> {
        match &self.role {
            Role::React | Role::Each | Role::Join { .. } => None,
            Role::Undo { undoes } => Some(undoes),
        }
    }

    /// Whether it runs once for each item of the saga.
    pub fn is_per_item(&self) -> bool {
        matches!(self.role, Role::Each)
    }

    /// Whether it goes forward: it is no undo.
    pub fn is_forward(&self) -> bool {
        self.undoes().is_none()
    }

    /// What it waits for. Empty unless it is a join.
    pub fn parts(&self) -> &[JoinPart] {
        if let Role::Join { of } = &self.role { of } else { &[] }
    }
}

impl Manifest {
    /// Every event that the service may emit.
    pub fn emitted(&self) -> impl Iterator<Item = &EventRef> {
        let entries = self.entries.iter().flat_map(|entry| &entry.emits).flat_map(Emission::events);
        entries.chain(self.reactions.iter().flat_map(Reaction::emitted))
    }

    /// Every event that the service may emit later.
    pub fn scheduled(&self) -> impl Iterator<Item = &EventRef> {
        let scheduled = self.emissions().filter(|group| matches!(group, Emission::Scheduled(_)));
        scheduled.flat_map(Emission::events)
    }

    /// The names of the scheduled events that an outcome cancels when this service decides. By name, as a timer may have been set by
    /// another version of the service.
    pub fn cancelled_by_outcome(&self) -> BTreeSet<&str> {
        if !self.emissions().any(|group| matches!(group, Emission::Outcome(_))) {
            return BTreeSet::new();
        }
        let outlives = |name: &str| self.outlive_outcome.iter().any(|event| event.name == name);
        self.scheduled().map(|event| event.name.as_str()).filter(|name| !outlives(name)).collect()
    }

    /// Where an event is emitted in a way that must not ask a question: the entry point or reaction, and the method of the wiring table.
    ///
    /// With a failure event that asks, giving up would fail again and again: the saga asked before, or no timer was set. An outcome
    /// closes the questions of its saga. A timer that comes due asks nothing. A saga asks a question once, so no list is one.
    pub fn asked_wrongly(&self, question: &EventRef) -> Option<(&str, &'static str)> {
        let how = |group: &Emission| match group {
            Emission::Outcome(_) => Some("decides"),
            Emission::Scheduled(_) => Some("schedules"),
            Emission::Each(events) if events.first() == Some(question) => Some("emits_each"),
            Emission::All(_) | Emission::Each(_) | Emission::OneOf(_) | Emission::Maybe(_) => None,
        };
        let entries = self.entries.iter().map(|entry| (&entry.name, &entry.emits, None));
        let reactions = self.reactions.iter().map(|it| (&it.name, &it.emits, it.gives_up_with.as_ref()));
        entries.chain(reactions).find_map(|(who, emits, failure_event)| {
            let failure = (failure_event == Some(question)).then_some("gives_up_with");
            let mut groups = emits.iter().filter(|group| group.events().contains(question));
            Some((who.as_str(), failure.or_else(|| groups.find_map(how))?))
        })
    }

    pub(crate) fn emissions(&self) -> impl Iterator<Item = &Emission> {
        let entries = self.entries.iter().flat_map(|entry| &entry.emits);
        entries.chain(self.reactions.iter().flat_map(|reaction| &reaction.emits))
    }

    /// The fields of an event. `None` where the event isn't the service's own, or the service doesn't declare it.
    pub fn fields(&self, event: &EventRef) -> Option<&Fields> {
        let mut declared = self.events.iter().filter(|_| event.owner() == self.service);
        declared.find(|declared| declared.event == *event).map(|declared| &declared.fields)
    }

    /// The part that a reaction of this service has in the ledger. The inbox, the model checker, the monitor and the fault matrix
    /// all use it.
    pub fn part<'m>(&'m self, reaction: &'m Reaction) -> Part<'m> {
        match &reaction.role {
            Role::Undo { undoes } => self.origin(undoes).map_or(Part::Plain, |step| Part::Undo { step, undoes }),
            Role::React | Role::Each | Role::Join { .. } => {
                let undo = self.undo_of(Emitter::Reaction(reaction));
                undo.map_or(Part::Plain, |(undo, keeps)| Part::Step { undo, keeps })
            }
        }
    }

    /// Where an event that is undone comes from: the reaction that goes forward, or else the entry point, that emits it.
    fn origin(&self, event: &EventRef) -> Option<Emitter<'_>> {
        let forward = self.reactions.iter().filter(|reaction| reaction.is_forward()).map(Emitter::Reaction);
        let mut emitters = forward.chain(self.entries.iter().map(Emitter::Entry));
        emitters.find(|emitter| emitter.emitted().any(|emitted| emitted == event))
    }

    /// Whether a reaction of this service runs once for each item: one [for each item](Role::Each), and the undo of one.
    pub fn has_items(&self, reaction: &Reaction) -> bool {
        reaction.is_per_item() || self.step_of(reaction).is_some_and(Emitter::is_per_item)
    }

    /// A name that two reactions have, or two entry points, or an entry point that is a step and a reaction: the durable consumers and
    /// the ledger's rows have these names.
    pub fn same_name(&self) -> Option<&str> {
        let steps = self.entries.iter().filter(|entry| self.undo_of(Emitter::Entry(entry)).is_some());
        let reactions = self.reactions.iter().map(|reaction| reaction.name.as_str());
        let rows = steps.map(|entry| entry.name.as_str()).chain(reactions);
        twice(self.entries.iter().map(|entry| entry.name.as_str())).or_else(|| twice(rows))
    }

    /// The step that `undo` undoes.
    pub fn step_of<'m>(&'m self, undo: &'m Reaction) -> Option<Emitter<'m>> {
        if let Part::Undo { step, .. } = self.part(undo) { Some(step) } else { None }
    }

    /// The step that emits `event`, and that a reaction of this service undoes.
    pub fn step_that_emits(&self, event: &EventRef) -> Option<Emitter<'_>> {
        self.origin(event).filter(|step| self.undo_of(*step).is_some())
    }

    /// The reaction that undoes what `step` did, and the event that is kept for it. `None` when `step` isn't a step.
    pub fn undo_of<'m>(&'m self, step: Emitter<'_>) -> Option<(&'m Reaction, &'m EventRef)> {
        let mut undos = self.reactions.iter().filter_map(|undo| Some((undo, undo.undoes()?)));
        undos.find(|(_, undoes)| self.origin(undoes).is_some_and(|origin| origin.name() == step.name()))
    }

    /// The undos for which `undo` waits, and those for which they wait, and so on. `undo` itself is among them only if they wait in a
    /// circle: then none of them ever runs.
    pub fn undos_before<'m>(&'m self, undo: &'m Reaction) -> Vec<&'m Reaction> {
        let mut before: Vec<&Reaction> = Vec::new();
        let mut queue = vec![undo];
        while let Some(undo) = queue.pop() {
            let steps = undo.after_undo_of.iter().filter_map(|event| self.step_that_emits(event));
            for (next, _) in steps.filter_map(|step| self.undo_of(step)) {
                if !before.iter().any(|known| known.name == next.name) {
                    before.push(next);
                    queue.push(next);
                }
            }
        }
        before
    }
}

/// The first text that comes again.
fn twice<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    texts.find(|text| !seen.insert(*text))
}
