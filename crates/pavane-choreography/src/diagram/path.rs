//! The paths that a saga can take, one by one: the good one, and one for each single deviation.

use std::collections::VecDeque;

use super::Sequence;
use crate::{
    Choreography, Saga,
    model::{Actor, Arrival, EventIx, Listeners, Model, Move, Part, SlotIx, Story},
};

/// One path of a saga.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Path {
    /// How it ends, and because of which event: `order.cancelled after payment.declined`.
    pub title: String,
    /// What happens, in the order in which the events are emitted.
    pub sequence: Sequence,
}

/// The one deviation from the good path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// None.
    None,
    /// A reaction emits another answer.
    Answer(SlotIx, u16),
    /// A reaction gives up.
    GiveUp(SlotIx),
    /// An entry point is used, or a deadline passes, at the last moment before the saga would complete.
    Interrupt(Move),
    /// A question is answered otherwise.
    Reply(u16, u16),
    /// A question is not answered.
    Silence(u16),
}

/// A run in which events are handled in the order in which they are emitted.
struct Run<'m> {
    model: &'m Model,
    turn: Turn,
    /// Whether the deviation has happened.
    taken: bool,
    story: Story<'m>,
    queue: VecDeque<SlotIx>,
    ends: Vec<EventIx>,
    /// The deviations that were possible.
    turns: Vec<Turn>,
    /// Those that were possible at the last moment before the saga would have completed.
    interrupts: Option<Vec<Turn>>,
}

/// More moves than any path has; a choreography with a cycle stops here.
const MOVES_MAX: usize = 200;

pub(crate) fn paths(choreography: &Choreography, saga: &Saga) -> Vec<Path> {
    let model = Model::of(choreography, saga, Listeners::All);
    let good = Run::play(&model, Turn::None);
    let turns = good.turns.clone();
    std::iter::once(good).chain(turns.into_iter().map(|turn| Run::play(&model, turn))).map(Run::into_path).collect()
}

impl<'m> Run<'m> {
    fn play(model: &'m Model, turn: Turn) -> Self {
        let (queue, ends, turns) = (VecDeque::new(), Vec::new(), Vec::new());
        let mut run =
            Self { model, turn, taken: false, story: Story::new(model), queue, ends, turns, interrupts: None };
        if let Some(beginning) = model.beginnings().first() {
            let heard = run.make(*beginning);
            run.queue.extend(heard);
        }
        for _ in 0..MOVES_MAX {
            if !run.step() {
                break;
            }
        }
        let interrupts = run.interrupts.take().unwrap_or_else(|| run.interrupts());
        run.turns.extend(interrupts);
        run
    }

    /// Handles the next delivery. `false` when nothing is left to happen.
    fn step(&mut self) -> bool {
        let Some(slot) = self.queue.pop_front() else { return self.wait() };
        if self.interrupts.is_none() && self.would_complete(slot) {
            self.interrupts = Some(self.interrupts());
        }
        if let Turn::Interrupt(by) = self.turn
            && !self.taken
            && self.would_complete(slot)
        {
            self.taken = true;
            self.queue.push_front(slot);
            for heard in self.make(by).into_iter().rev() {
                self.queue.push_front(heard);
            }
            return true;
        }
        let heard = if self.turn == Turn::GiveUp(slot) && !self.taken {
            self.taken = true;
            self.make(Move::GiveUp(slot))
        } else {
            let choice = self.choose(slot);
            self.make(Move::Deliver(slot, choice))
        };
        self.queue.extend(heard);
        let waits = self.story.state().deliveries[usize::from(slot)].waiting;
        let queued = self.queue.iter().filter(|queued| **queued == slot).count();
        if usize::from(waits) > queued {
            // An effect was called, or an undo has to come again once it is answered.
            if self.model.arrival(self.story.state(), slot) == Arrival::Wait {
                self.queue.push_back(slot);
            } else {
                self.queue.push_front(slot);
            }
        }
        true
    }

    /// When no delivery is left, questions are answered; then time passes. Once the saga has ended, its deadlines change nothing.
    fn wait(&mut self) -> bool {
        if !self.ends.is_empty() {
            return false;
        }
        let state = self.story.state();
        let asked = (0..).zip(&self.model.actors).filter(|(_, actor)| actor.question.is_some());
        let asked = asked
            .map(|(entry, _)| entry)
            .find(|entry| self.turn != Turn::Silence(*entry) && self.model.is_open(state, *entry));
        // What ends the wait for the answer, else whatever comes.
        let silent = if let Turn::Silence(entry) = self.turn {
            self.model.actors[usize::from(entry)].expires_with()
        } else {
            None
        };
        let due = |event: &EventIx| state.timers[usize::from(*event)] > 0;
        let event = silent.filter(due).or_else(|| (0..).take(state.timers.len()).find(due));
        let by = match (asked, event) {
            (Some(entry), _) => Move::Use(entry, self.reply(entry)),
            (None, Some(event)) => Move::Due(event),
            (None, None) => return false,
        };
        let heard = self.make(by);
        self.queue.extend(heard);
        true
    }

    /// The answer to a question: the good one, unless it deviates here.
    fn reply(&mut self, entry: u16) -> u16 {
        if let Turn::Reply(at, choice) = self.turn
            && at == entry
        {
            return choice;
        }
        let actor = &self.model.actors[usize::from(entry)];
        let choice = self.good(&self.choices(actor));
        let others = (0..).take(actor.open.len()).filter(|other| *other != choice);
        self.turns.extend(others.map(|other| Turn::Reply(entry, other)));
        self.turns.extend(actor.expires_with().map(|_| Turn::Silence(entry)));
        choice
    }

    /// Makes a move, and returns the reactions that get its events.
    fn make(&mut self, step: Move) -> Vec<SlotIx> {
        let before = self.story.state().clone();
        let emits = match step {
            Move::Deliver(slot, choice) => self.model.answer(&before, self.model.actor_of(slot), choice),
            Move::Use(entry, choice) => self.model.answer(&before, &self.model.actors[usize::from(entry)], choice),
            Move::Again(_) | Move::GiveUp(_) | Move::Due(_) | Move::Never(_) => None,
        };
        self.story.play(step);
        let after = self.story.state();
        if (after.completed, after.aborted) != (before.completed, before.aborted) {
            let is_end = |event: &EventIx| {
                let event = usize::from(*event);
                self.model.completes[event] || self.model.aborts[event]
            };
            self.ends.extend(emits.into_iter().flat_map(|answer| &answer.emits).copied().filter(is_end));
        }
        let more = |slot: &SlotIx| {
            let slot = usize::from(*slot);
            after.deliveries[slot].emitted() > before.deliveries[slot].emitted()
        };
        (0..).take(self.model.slots.len()).filter(more).collect()
    }

    /// The answer of this path: the good one, unless it deviates here.
    fn choose(&mut self, slot: SlotIx) -> u16 {
        let arrival = self.model.arrival(self.story.state(), slot);
        if !matches!(arrival, Arrival::React | Arrival::Step(_) | Arrival::Undo(_)) {
            return 0;
        }
        if let Turn::Answer(at, choice) = self.turn
            && at == slot
            && !self.taken
        {
            self.taken = true;
            return choice;
        }
        let answers = self.answers(slot);
        let choice = self.good(&answers);
        if !matches!(arrival, Arrival::Undo(_)) {
            self.note_turns(slot, choice, &answers);
        }
        choice
    }

    /// The answer by which the saga goes on.
    fn good(&self, answers: &[(u16, &[EventIx])]) -> u16 {
        let goes_on = |events: &[EventIx]| events.iter().any(|event| self.model.goes_on[usize::from(*event)]);
        let good = answers.iter().find(|(_, events)| goes_on(events));
        // An undo emits its event, if it may.
        let most = answers.iter().rev().max_by_key(|(_, events)| events.len());
        good.or(most).map_or(0, |(choice, _)| *choice)
    }

    /// The possible answers of a reaction.
    fn answers(&self, slot: SlotIx) -> Vec<(u16, &'m [EventIx])> {
        self.choices(self.model.actor_of(slot))
    }

    fn choices(&self, actor: &'m Actor) -> Vec<(u16, &'m [EventIx])> {
        let (model, state) = (self.model, self.story.state());
        let answer = |choice| Some((choice, &model.answer(state, actor, choice)?.emits[..]));
        (0..).map_while(answer).collect()
    }

    fn note_turns(&mut self, slot: SlotIx, choice: u16, answers: &[(u16, &[EventIx])]) {
        let others = answers.iter().filter(|(other, _)| *other != choice);
        let mut turns: Vec<Turn> = others.map(|(other, _)| Turn::Answer(slot, *other)).collect();
        let told = self.model.actor_of(slot).gives_up_with;
        if told.is_some_and(|told| answers.iter().all(|(_, events)| *events != [told])) {
            turns.push(Turn::GiveUp(slot));
        }
        // In a cycle it comes to the same deviation again.
        turns.retain(|turn| !self.turns.contains(turn));
        self.turns.extend(turns);
    }

    /// What could come in between now.
    fn interrupts(&self) -> Vec<Turn> {
        let any_time = |actor: &Actor| actor.part == Part::Entry && actor.question.is_none();
        let entries = (0..).zip(&self.model.actors).filter(|(_, actor)| any_time(actor));
        let used = entries.flat_map(|(entry, actor)| {
            let answers = (0..).zip(&actor.open).filter(|(_, answer)| !answer.emits.is_empty());
            answers.map(move |(choice, _)| Turn::Interrupt(Move::Use(entry, choice)))
        });
        let scheduled = (0..).zip(&self.story.state().timers).filter(|(_, due)| **due > 0);
        used.chain(scheduled.map(|(event, _)| Turn::Interrupt(Move::Due(event)))).collect()
    }

    fn would_complete(&self, slot: SlotIx) -> bool {
        let completes = |events: &[EventIx]| events.iter().any(|event| self.model.completes[usize::from(*event)]);
        let gathers = matches!(self.model.arrival(self.story.state(), slot), Arrival::Gather(_));
        !gathers && self.answers(slot).iter().any(|(_, events)| completes(events))
    }

    /// What an actor answers.
    fn said(&self, actor: &Actor, choice: u16) -> String {
        let events = actor.open.get(usize::from(choice)).into_iter().flat_map(|answer| &answer.emits);
        let events: Vec<_> = events.map(|event| self.model.event(*event)).collect();
        if events.is_empty() { "silence".to_owned() } else { events.join(" and ") }
    }

    fn into_path(self) -> Path {
        let ends: Vec<_> = self.ends.iter().map(|event| self.model.event(*event)).collect();
        let end = if ends.is_empty() { "no end".to_owned() } else { ends.join(" and ") };
        let label = |slot: SlotIx| self.model.label(self.model.slot(slot).actor);
        let title = match self.turn {
            Turn::None | Turn::Interrupt(Move::Deliver(..) | Move::Again(_) | Move::GiveUp(_) | Move::Never(_)) => end,
            Turn::Answer(slot, choice) => {
                format!("{end} after {} from {}", self.said(self.model.actor_of(slot), choice), label(slot))
            }
            Turn::Reply(entry, choice) => {
                let actor = &self.model.actors[usize::from(entry)];
                format!("{end} after {} from {}", self.said(actor, choice), self.model.label(usize::from(entry)))
            }
            Turn::Silence(entry) => {
                let expired = self.model.actors[usize::from(entry)].expires_with().map(|event| self.model.event(event));
                format!("{end} after {}", expired.unwrap_or_default())
            }
            Turn::GiveUp(slot) => format!("{end} after {} gave up", label(slot)),
            Turn::Interrupt(Move::Due(event)) => format!("{end} after {}", self.model.event(event)),
            Turn::Interrupt(Move::Use(entry, _)) => format!("{end} after {}", self.model.label(usize::from(entry))),
        };
        Path { title, sequence: self.story.end() }
    }
}
