//! What each move reads and writes. Which moves may be made in either order follows from that, and from nothing else.
//!
//! A new kind of move is added here: say who makes it ([`Agent`]), and what it touches and how ([`Model::footprint`]). A
//! footprint holds for everything that the agent may still do from a state on, not only for what it does next, so it may only ever
//! shrink; it may say more than is true, and never less.

use super::{
    compile::{Actor, Answer, Model, Part},
    state::{EventIx, SlotIx, State, Used},
};

/// Who makes a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Agent {
    /// A reaction, on one of its events: it handles a delivery, or gives up on it.
    Slot(SlotIx),
    /// A scheduled event, which comes due.
    Timer(EventIx),
    /// An actor that may do something once, or never: it does, or it never will.
    Once(u16),
}

/// A part of a state that moves touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// The deliveries that wait in a slot.
    Waiting(SlotIx),
    /// How many deliveries a slot ever had.
    Emitted(SlotIx),
    /// A row of the ledger, by step.
    Row(usize),
    /// An event that is scheduled and not due yet.
    Timer(EventIx),
    /// What an actor may do once.
    Once(u16),
    /// Whether a service decided.
    Decided(usize),
    /// Whether an outcome was emitted: a completing one, or an aborting one.
    Outcome { completes: bool },
}

/// How a place is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Access {
    /// What happens depends on it.
    Read,
    /// It becomes something else, or what happens depends on it as well.
    Write,
    /// One more.
    Add,
    /// One less. Where there is none, it waits for one.
    Take,
    /// None is left.
    Clear,
    /// The first one to come decides, by emitting this event and nothing else; the others do nothing.
    Decide(EventIx),
}

impl Access {
    /// Whether it makes a difference which of two comes first. What has to be there in order to be taken is another matter: see
    /// [`Footprint::takes`].
    pub(crate) fn conflicts(self, other: Self) -> bool {
        match (self, other) {
            (Self::Read, Self::Read)
            | (Self::Add, Self::Add | Self::Take)
            | (Self::Take, Self::Add)
            | (Self::Clear, Self::Clear) => false,
            // In either order the same event was emitted once, and both were handled.
            (Self::Decide(this), Self::Decide(that)) => this != that,
            (Self::Read | Self::Write | Self::Add | Self::Take | Self::Clear | Self::Decide(_), _) => true,
        }
    }
}

/// What an agent touches.
#[derive(Debug, Default)]
pub(crate) struct Footprint {
    pub(crate) touches: Vec<(Place, Access)>,
}

impl Footprint {
    fn touch(&mut self, place: Place, access: Access) {
        if !self.touches.contains(&(place, access)) {
            self.touches.push((place, access));
        }
    }

    /// Where something has to be before the agent can do anything.
    pub(crate) fn takes(&self) -> impl Iterator<Item = Place> {
        self.touches.iter().filter(|(_, access)| *access == Access::Take).map(|(place, _)| *place)
    }
}

impl Model {
    /// Everything that can make a move once the saga has begun.
    pub(crate) fn agents(&self) -> Vec<Agent> {
        let schedules = |event: EventIx| {
            let answers = self.actors.iter().flat_map(|actor| actor.open.iter().chain(&actor.decided));
            answers.flat_map(|answer| &answer.schedules).any(|scheduled| *scheduled == event)
        };
        let slots = (0..).zip(&self.slots).map(|(slot, _)| Agent::Slot(slot));
        let timers =
            (0..).zip(&self.events).filter(|(event, _)| schedules(*event)).map(|(event, _)| Agent::Timer(event));
        let once = (0..).zip(&self.actors).filter(|(_, actor)| actor.may_never()).map(|(actor, _)| Agent::Once(actor));
        slots.chain(timers).chain(once).collect()
    }

    /// What an agent touches from now on. `decided` says whether its service decided.
    pub(crate) fn footprint(&self, agent: Agent, decided: bool) -> Footprint {
        let mut footprint = Footprint::default();
        match agent {
            Agent::Slot(slot) => self.touched_by_slot(slot, decided, &mut footprint),
            Agent::Timer(event) => {
                footprint.touch(Place::Timer(event), Access::Take);
                self.touched_by_emitting(event, &mut footprint);
            }
            Agent::Once(ix) => {
                let actor = &self.actors[usize::from(ix)];
                footprint.touch(Place::Once(ix), Access::Take);
                if actor.part == Part::Entry {
                    if let Some(expires) = actor.expires_with() {
                        footprint.touch(Place::Timer(expires), Access::Take);
                        footprint.touch(Place::Timer(expires), Access::Clear);
                    }
                    self.touched_by_answering(actor, decided, &mut footprint);
                    if let Some(kept) = &actor.keeps {
                        footprint.touch(Place::Row(kept.row), Access::Write);
                    }
                    if actor.expires_with().is_none() {
                        Self::touched_by_coming_too_late(actor, decided, &mut footprint);
                    }
                }
            }
        }
        footprint
    }

    /// The service by whose decision an agent's footprint shrinks.
    pub(crate) fn service_of(&self, agent: Agent) -> Option<usize> {
        match agent {
            Agent::Slot(slot) => Some(self.actor_of(slot).service),
            Agent::Timer(_) => None,
            Agent::Once(actor) => Some(self.actors[usize::from(actor)].service),
        }
    }

    /// Whether a place has what an agent waits for.
    pub(crate) fn has(state: &State, place: Place) -> bool {
        match place {
            Place::Waiting(slot) => state.deliveries[usize::from(slot)].waiting > 0,
            Place::Timer(event) => state.timers[usize::from(event)] > 0,
            Place::Once(actor) => state.used[usize::from(actor)] == Used::NotYet,
            Place::Emitted(_) | Place::Row(_) | Place::Decided(_) | Place::Outcome { .. } => true,
        }
    }

    fn touched_by_slot(&self, slot: SlotIx, decided: bool, footprint: &mut Footprint) {
        let ix = self.slot(slot).actor;
        let actor = &self.actors[ix];
        footprint.touch(Place::Waiting(slot), Access::Take);
        match actor.part {
            Part::Start | Part::Entry | Part::Elsewhere | Part::Plain => {}
            Part::Step { row, has_undo, .. } => {
                footprint.touch(Place::Row(row), Access::Write);
                let may_tell_apart = if actor.is_join() { actor.calls() } else { has_undo };
                if may_tell_apart {
                    // A second event is refused.
                    footprint.touch(Place::Emitted(slot), Access::Read);
                }
            }
            Part::Undo { row, .. } => {
                footprint.touch(Place::Row(row), Access::Write);
                actor.after.iter().for_each(|row| footprint.touch(Place::Row(*row), Access::Read));
            }
        }
        self.touched_by_answering(actor, decided, footprint);
        if let Some(event) = actor.gives_up_with.filter(|_| self.give_ups) {
            self.touched_by_emitting(event, footprint);
        }
        if actor.may_never() {
            footprint.touch(Place::Once(u16::try_from(ix).unwrap_or(u16::MAX)), Access::Read);
        }
    }

    fn touched_by_answering(&self, actor: &Actor, decided: bool, footprint: &mut Footprint) {
        if !decided && actor.open != actor.decided {
            footprint.touch(Place::Decided(actor.service), actor.decides());
            if actor.open.iter().any(|answer| answer.decides) {
                let (timers, questions) = (&self.cancels[actor.service], &self.closes[actor.service]);
                for event in timers {
                    footprint.touch(Place::Timer(*event), Access::Clear);
                }
                for entry in questions {
                    footprint.touch(Place::Once(*entry), Access::Clear);
                }
            }
        }
        let open = actor.open.iter().filter(|_| !decided);
        for answer in open.chain(&actor.decided) {
            answer.schedules.iter().for_each(|event| footprint.touch(Place::Timer(*event), Access::Add));
            answer.emits.iter().for_each(|event| self.touched_by_emitting(*event, footprint));
        }
    }

    fn touched_by_emitting(&self, event: EventIx, footprint: &mut Footprint) {
        for slot in &self.listeners[usize::from(event)] {
            footprint.touch(Place::Waiting(*slot), Access::Add);
            footprint.touch(Place::Emitted(*slot), Access::Add);
        }
        for entry in &self.asks[usize::from(event)] {
            footprint.touch(Place::Once(*entry), Access::Add);
        }
        for (completes, ends) in [(true, &self.completes), (false, &self.aborts)] {
            if ends[usize::from(event)] {
                footprint.touch(Place::Outcome { completes }, Access::Add);
            }
        }
    }

    /// An entry point that changes nothing was not used: so it looks at whatever it would change.
    fn touched_by_coming_too_late(actor: &Actor, decided: bool, footprint: &mut Footprint) {
        if !decided && actor.open != actor.decided {
            footprint.touch(Place::Decided(actor.service), Access::Write);
        }
        let outcomes = footprint.touches.iter().filter(|(place, _)| matches!(place, Place::Outcome { .. }));
        let read: Vec<Place> = outcomes.map(|(place, _)| *place).collect();
        for place in read {
            footprint.touch(place, Access::Read);
        }
    }
}

impl Actor {
    /// Whether it may do something once, or never: an entry point is used, or a reaction that has no answer gives up.
    fn may_never(&self) -> bool {
        match self.part {
            Part::Start | Part::Elsewhere => false,
            Part::Entry => true,
            Part::Plain | Part::Step { .. } | Part::Undo { .. } => self.open.is_empty() || self.decided.is_empty(),
        }
    }

    /// How it decides.
    fn decides(&self) -> Access {
        if let (Part::Plain, [Answer { emits, schedules, decides: true }], [late]) =
            (&self.part, &self.open[..], &self.decided[..])
            && let ([event], []) = (&emits[..], &schedules[..])
            && *late == Answer::default()
        {
            return Access::Decide(*event);
        }
        Access::Write
    }
}
