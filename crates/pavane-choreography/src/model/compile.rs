//! Turns manifests and a saga into tables by index, which is what the search needs.

mod answers;
mod items;
mod waits;

use std::{collections::BTreeSet, iter};

pub(crate) use answers::Answer;
use pavane_contract::EventRef;

use super::{
    rules::Rules,
    state::{Delivery, EventIx, Row, SlotIx, State, Used},
};
use crate::{
    Choreography, JoinPart, Manifest, Saga,
    graph::{self, Graph},
    manifest::{self, Emitter},
};

/// A saga with more states than this isn't checked in seconds any more.
const STATES_MAX: usize = 1_000_000;

/// Which reactions the model follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listeners {
    /// Those that emit something or can be undone: the others change nothing that is checked.
    ThatMatter,
    /// Each of them, for diagrams.
    All,
}

/// A saga as tables.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) services: Vec<String>,
    pub(crate) events: Vec<EventRef>,
    /// Entry points and reactions.
    pub(crate) actors: Vec<Actor>,
    pub(crate) slots: Vec<Slot>,
    /// The slots of an event, by event.
    pub(crate) listeners: Vec<Vec<SlotIx>>,
    /// The actor of each step, by row.
    pub(crate) steps: Vec<usize>,
    /// Whether it completes the saga, by event.
    pub(crate) completes: Vec<bool>,
    /// Whether it aborts the saga, by event.
    pub(crate) aborts: Vec<bool>,
    /// Whether it leads to completion, by event.
    pub(crate) goes_on: Vec<bool>,
    /// The entry points that answer an event, by event.
    pub(crate) asks: Vec<Vec<u16>>,
    /// Whether it is the event of a list, by event. Of none in a choreography that is [expanded](crate::items::expand).
    pub(crate) lists: Vec<bool>,
    /// The scheduled events that a service's outcome cancels, by service.
    pub(crate) cancels: Vec<Vec<EventIx>>,
    /// The entry points at which a service's outcome ends the wait for an answer, by service: where no scheduled event does.
    pub(crate) closes: Vec<Vec<u16>>,
    pub(crate) rules: Rules,
    /// Whether reactions give up.
    pub(crate) give_ups: bool,
    /// Whether one of its outcomes may be out of reach.
    pub(crate) one_outcome_is_enough: bool,
    /// How many states the search looks at before it gives up itself.
    pub(crate) states_max: usize,
    /// What starts the saga.
    pub(crate) start: Option<EventIx>,
}

/// One event to one reaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) event: EventIx,
    pub(crate) actor: usize,
    /// Which part of a join it is. Zero without one.
    pub(crate) part: usize,
}

#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) service: usize,
    pub(crate) name: String,
    pub(crate) part: Part,
    /// Whether it runs for each item, which a diagram says.
    pub(crate) has_items: bool,
    /// The slots of each part of a join. Empty when it is none.
    pub(crate) joins: Vec<Vec<SlotIx>>,
    /// The parts of a join that wait for every item, which a diagram says.
    pub(crate) every: Vec<usize>,
    /// The events by which a step says no, and that a join takes in place of one that stands for it.
    pub(crate) excuses: Vec<EventIx>,
    /// The rows of the steps that must be undone or barred before this undo runs.
    pub(crate) after: Vec<usize>,
    /// What an entry point answers.
    pub(crate) question: Option<Question>,
    /// What an entry point that is a step keeps for its undo.
    pub(crate) keeps: Option<Kept>,
    pub(crate) effect: bool,
    pub(crate) gives_up_with: Option<EventIx>,
    /// It may give up without a word, and the saga must end all the same.
    pub(crate) may_be_lost: bool,
    /// What it may choose while its service decided nothing.
    pub(crate) open: Vec<Answer>,
    /// What it may choose once its service decided.
    pub(crate) decided: Vec<Answer>,
}

/// The part that an actor has in the saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// An entry point that starts the saga.
    Start,
    /// An entry point that may be used in a saga under way.
    Entry,
    /// An entry point that starts other sagas.
    Elsewhere,
    /// A reaction with nothing to undo.
    Plain,
    /// A step or a join, by its row. `done` are the events that stand for it. Without an undo nothing guards it, unless it is a join.
    Step { row: usize, done: Vec<EventIx>, has_undo: bool },
    /// The undo of a step.
    Undo { row: usize, undoes: EventIx },
}

/// The row of an entry point that is a step, and the events that stand for what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) row: usize,
    pub(crate) done: Vec<EventIx>,
}

/// What an entry point answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) asks: EventIx,
    pub(crate) expires_with: Option<EventIx>,
}

impl Model {
    pub(crate) fn of(choreography: &Choreography, saga: &Saga, listeners: Listeners) -> Self {
        Compiler::new(choreography, saga).compile(listeners)
    }

    /// Before anything happened.
    pub(crate) fn nothing_yet(&self) -> State {
        State {
            deliveries: vec![Delivery::default(); self.slots.len()].into(),
            rows: vec![Row::default(); self.steps.len()].into(),
            timers: vec![0; self.events.len()].into(),
            decided: vec![false; self.services.len()].into(),
            used: self.actors.iter().map(Actor::unused).collect(),
            completed: false,
            aborted: false,
            refused: vec![false; self.steps.len()].into(),
        }
    }

    pub(crate) fn slot(&self, slot: SlotIx) -> Slot {
        self.slots[usize::from(slot)]
    }

    pub(crate) fn actor_of(&self, slot: SlotIx) -> &Actor {
        &self.actors[self.slot(slot).actor]
    }

    pub(crate) fn event(&self, event: EventIx) -> &str {
        &self.events[usize::from(event)].name
    }
}

struct Compiler<'a> {
    manifests: &'a [Manifest],
    graph: Graph<'a>,
    saga: &'a Saga,
    /// Events that start other sagas.
    elsewhere: Vec<&'a EventRef>,
    services: Vec<String>,
    events: Vec<EventRef>,
}

impl<'a> Compiler<'a> {
    fn new(choreography: &'a Choreography, saga: &'a Saga) -> Self {
        let graph = choreography.graph();
        let mut services: Vec<String> = Vec::new();
        let mut events: BTreeSet<&EventRef> = graph.emitted();
        events.extend(graph.reactions().flat_map(|(_, reaction)| &reaction.on));
        events.extend(
            graph.questions().flat_map(|(_, question)| iter::once(&question.asks).chain(&question.expires_with)),
        );
        events.extend(saga.starts_with.iter().chain(saga.ends()));
        for manifest in choreography.manifests() {
            if !services.contains(&manifest.service) {
                services.push(manifest.service.clone());
            }
        }
        let others = choreography.sagas().iter().filter_map(|saga| saga.starts_with.as_ref());
        let elsewhere = others.filter(|start| saga.starts_with.as_ref() != Some(*start)).collect();
        let events = events.into_iter().cloned().collect();
        Self { manifests: choreography.manifests(), graph, saga, elsewhere, services, events }
    }

    fn compile(self, listeners: Listeners) -> Model {
        let mut steps = Vec::new();
        let mut actors: Vec<Actor> = Vec::new();
        for (ix, actor) in self.graph.actors.iter().enumerate() {
            let done: Vec<_> =
                self.graph.done_events(self.saga, *actor).iter().map(|event| self.event(event)).collect();
            let (row, is_step) = (steps.len(), !done.is_empty() || actor.is_join());
            steps.extend(is_step.then_some(ix));
            let (part, keeps) = match (actor.reaction(), is_step) {
                (None, _) => (self.entry(*actor), is_step.then_some(Kept { row, done })),
                (Some(_), false) => (Part::Plain, None),
                (Some(_), true) => (Part::Step { row, done, has_undo: actor.has_undo() }, None),
            };
            actors.push(Actor { keeps, ..self.actor(*actor, part) });
        }
        self.assign_undos(&mut actors, &steps);
        let slots = self.slots(&actors, listeners);
        for (slot, Slot { actor, part, .. }) in (0..).zip(&slots) {
            if let Some(part) = actors[*actor].joins.get_mut(*part) {
                part.push(slot);
            }
        }
        let progress = self.graph.progress(self.saga);
        let goes_on = |event: &EventRef| progress.contains(event) || self.saga.completes_with.contains(event);
        let listeners = (0..self.events.len()).map(|event| {
            let ours = |(_, slot): &(SlotIx, &Slot)| usize::from(slot.event) == event;
            (0..).zip(&slots).filter(ours).map(|(ix, _)| ix).collect()
        });
        Model {
            listeners: listeners.collect(),
            completes: self.events.iter().map(|event| self.saga.completes_with.contains(event)).collect(),
            aborts: self.events.iter().map(|event| self.saga.aborts_with.contains(event)).collect(),
            goes_on: self.events.iter().map(goes_on).collect(),
            lists: self.lists(),
            asks: self.asks(&actors),
            cancels: self.cancels(),
            closes: self.closes(&actors),
            rules: Rules::RUNTIME,
            give_ups: true,
            one_outcome_is_enough: false,
            states_max: STATES_MAX,
            start: self.saga.starts_with.as_ref().map(|event| self.event(event)),
            services: self.services,
            events: self.events,
            actors,
            slots,
            steps,
        }
    }

    fn entry(&self, entry: graph::Actor<'_>) -> Part {
        if entry.answers().any(|event| Some(event) == self.saga.starts_with.as_ref()) {
            Part::Start
        } else if entry.answers().any(|event| self.elsewhere.contains(&event)) {
            Part::Elsewhere
        } else {
            Part::Entry
        }
    }

    /// An undo belongs to the row of its step.
    fn assign_undos(&self, actors: &mut [Actor], steps: &[usize]) {
        for (ix, undo) in self.graph.actors.iter().enumerate() {
            let Some(reaction) = undo.reaction() else { continue };
            let manifest::Part::Undo { step, undoes } = undo.manifest.part(reaction) else { continue };
            let row_of = |step: Emitter<'_>| {
                let ours = |other: graph::Actor<'_>| other.service() == undo.service() && other.name() == step.name();
                steps.iter().position(|step| ours(self.graph.actors[*step]))
            };
            if let Some(row) = row_of(step) {
                actors[ix].part = Part::Undo { row, undoes: self.event(undoes) };
                let first = reaction.after_undo_of.iter().filter_map(|event| undo.manifest.step_that_emits(event));
                actors[ix].after = first.filter_map(row_of).collect();
            }
        }
    }

    fn excuses(&self, actor: graph::Actor<'_>) -> Vec<EventIx> {
        let done = self.graph.done_events(self.saga, actor);
        let parts = self.graph.reactions().flat_map(|(_, join)| join.parts());
        let ours = parts.filter(|part| part.events().iter().any(|event| done.contains(&event)));
        ours.flat_map(JoinPart::events).filter(|event| !done.contains(event)).map(|event| self.event(event)).collect()
    }

    fn actor(&self, actor: graph::Actor<'_>, part: Part) -> Actor {
        let progress = self.graph.progress(self.saga);
        let goes_on = actor.answers().any(|event| progress.contains(event) || self.saga.completes_with.contains(event));
        let aborts = actor.emitted().any(|event| self.saga.aborts_with.contains(event));
        Actor {
            service: self.services.iter().position(|service| service == actor.service()).unwrap_or_default(),
            name: actor.name().to_owned(),
            part,
            has_items: actor.has_items(),
            every: Self::every(actor),
            joins: actor.reaction().map(|reaction| vec![Vec::new(); reaction.parts().len()]).unwrap_or_default(),
            excuses: self.excuses(actor),
            after: Vec::new(),
            question: actor.question().map(|question| Question {
                asks: self.event(&question.asks),
                expires_with: question.expires_with.as_ref().map(|event| self.event(event)),
            }),
            keeps: None,
            effect: actor.reaction().is_some_and(|reaction| reaction.effect),
            gives_up_with: actor.reaction().and_then(|reaction| Some(self.event(reaction.gives_up_with.as_ref()?))),
            may_be_lost: actor.is_forward() && goes_on && !aborts && !self.saga.aborts_with.is_empty(),
            open: self.answers(actor.emits(), false),
            decided: self.answers(actor.emits(), true),
        }
    }

    fn slots(&self, actors: &[Actor], listeners: Listeners) -> Vec<Slot> {
        let matters = |actor: usize| {
            let Actor { part, gives_up_with, open, .. } = &actors[actor];
            let silent = *part == Part::Plain && gives_up_with.is_none() && *open == [Answer::default()];
            !silent || listeners == Listeners::All
        };
        let mut slots = Vec::new();
        for (actor, declared) in self.graph.actors.iter().enumerate().filter(|(actor, _)| matters(*actor)) {
            let Some(reaction) = declared.reaction() else { continue };
            let on: BTreeSet<_> = reaction.on.iter().collect();
            slots.extend(on.into_iter().map(|event| {
                let part = reaction.parts().iter().position(|part| part.events().contains(event));
                Slot { event: self.event(event), actor, part: part.unwrap_or_default() }
            }));
        }
        slots
    }

    /// Every event of the manifests and the saga has an index.
    fn event(&self, event: &EventRef) -> EventIx {
        let (found, _) = (0..).zip(&self.events).find(|(_, known)| *known == event).unwrap_or((0, event));
        found
    }
}

impl Actor {
    pub(crate) fn is_join(&self) -> bool {
        !self.joins.is_empty()
    }

    /// Whether an undo may come while its effect is being called.
    pub(crate) fn calls(&self) -> bool {
        self.effect && matches!(self.part, Part::Step { has_undo: true, .. })
    }

    /// The scheduled event that ends the wait for an answer.
    pub(crate) fn expires_with(&self) -> Option<EventIx> {
        self.question.and_then(|question| question.expires_with)
    }

    fn unused(&self) -> Used {
        if self.question.is_some() { Used::NotAsked } else { Used::NotYet }
    }
}
