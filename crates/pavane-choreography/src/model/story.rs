//! Tells a run: each move as a message or a note of a sequence diagram.

use super::{
    compile::{Actor, Answer, Model, Part},
    moves::Arrival,
    state::{EventIx, Move, SlotIx, State},
};
use crate::{diagram::Sequence, ledger};

/// The user of an entry point.
const OUTSIDE: &str = "outside";

/// A run under way.
#[derive(Debug)]
pub(crate) struct Story<'m> {
    model: &'m Model,
    state: State,
    sequence: Sequence,
}

impl<'m> Story<'m> {
    pub(crate) fn new(model: &'m Model) -> Self {
        let participants = std::iter::once(OUTSIDE).chain(model.services.iter().map(String::as_str));
        Self { model, state: model.nothing_yet(), sequence: Sequence::between(participants) }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn end(self) -> Sequence {
        self.sequence
    }

    /// Makes a move and tells it. A move that changes nothing is not told.
    pub(crate) fn play(&mut self, step: Move) -> bool {
        let Some(next) = self.model.next(&self.state, step) else { return false };
        match step {
            Move::Deliver(slot, choice) => self.deliver(slot, choice, &next),
            Move::Again(_) | Move::Never(_) => {}
            Move::GiveUp(slot) => self.give_up(slot),
            Move::Due(event) => {
                let text = format!("{} is due", self.model.event(event));
                self.sequence.note(self.model.events[usize::from(event)].owner(), &text);
            }
            Move::Use(entry, choice) => {
                let actor = &self.model.actors[usize::from(entry)];
                let answer = self.model.answer(&self.state, actor, choice);
                let answers = actor.question.map(|question| format!(" answers {}", self.model.event(question.asks)));
                let text = format!("{}{}: {}", actor.name, answers.unwrap_or_default(), self.answer(answer));
                self.sequence.message(OUTSIDE, &self.model.services[actor.service], &text);
            }
        }
        self.state = next;
        true
    }

    fn deliver(&mut self, slot: SlotIx, choice: u16, next: &State) {
        let actor = self.model.actor_of(slot);
        let answer = self.model.answer(&self.state, actor, choice);
        let what = match self.model.arrival(&self.state, slot) {
            Arrival::React if answer.is_some_and(|answer| !answer.decides && might_decide(actor)) => {
                "too late, it is decided already".to_owned()
            }
            Arrival::React if actor.open == [Answer::default()] => String::new(),
            Arrival::Step(row) if self.state.rows[row].state == Some(ledger::State::Running) => {
                let text = format!("{}: the call is answered, {}", actor.name, self.answer(answer));
                self.sequence.note(&self.model.services[actor.service], &text);
                return;
            }
            Arrival::React | Arrival::Step(_) => self.answer(answer),
            Arrival::Call(_) => "calls, and waits for the answer".to_owned(),
            Arrival::Gather(row) => format!("keeps it, waits for {}", self.model.missing(next, row)),
            Arrival::Undo(_) => format!("undoes {}, {}", self.undone(slot), self.answer(answer)),
            Arrival::Bar(_) => format!("no {} to undo: bars the step", self.undone(slot)),
            Arrival::Wait => return,
            Arrival::Refuse if actor.is_join() => {
                "refuses it, has another event for the same part: a dead letter".to_owned()
            }
            Arrival::Refuse => "refuses it, it ran on another event: a dead letter".to_owned(),
            Arrival::Skip if actor.is_join() => format!("skips it, the join is {}", self.row(slot)),
            Arrival::Skip => format!("skips it, the step is {}", self.row(slot)),
        };
        self.arrives(slot, &what);
    }

    fn give_up(&mut self, slot: SlotIx) {
        let told = self.model.actor_of(slot).gives_up_with.map(|event| self.model.event(event));
        let what =
            told.map_or("gives up: a dead letter, and no word".to_owned(), |event| format!("gives up, emits {event}"));
        self.arrives(slot, &what);
    }

    fn arrives(&mut self, slot: SlotIx, what: &str) {
        let event = &self.model.events[usize::from(self.model.slot(slot).event)];
        let actor = self.model.actor_of(slot);
        let every = if actor.every.contains(&self.model.slot(slot).part) { "every " } else { "" };
        let colon = if what.is_empty() { "" } else { ": " };
        let each = if actor.has_items { ", for each item" } else { "" };
        let text = format!("{every}{} → {}{each}{colon}{what}", event.name, actor.name);
        let from = self.emitter(self.model.slot(slot).event);
        self.sequence.message(from, &self.model.services[actor.service], &text);
    }

    /// The service that emits an event.
    fn emitter(&self, event: EventIx) -> &'m str {
        let emits = |answer: &Answer| answer.emits.contains(&event) || answer.schedules.contains(&event);
        let actors = self.model.actors.iter();
        let mut emitters = actors.filter(|actor| actor.open.iter().any(emits) || actor.gives_up_with == Some(event));
        emitters.next().map_or(OUTSIDE, |actor| &self.model.services[actor.service])
    }

    fn undone(&self, slot: SlotIx) -> &str {
        match self.model.actor_of(slot).part {
            Part::Undo { undoes, .. } => self.model.event(undoes),
            Part::Start | Part::Entry | Part::Elsewhere | Part::Plain | Part::Step { .. } => "",
        }
    }

    fn row(&self, slot: SlotIx) -> &'static str {
        match self.model.actor_of(slot).part {
            Part::Undo { row, .. } | Part::Step { row, .. } => {
                self.state.rows[row].state.map_or("fresh", ledger::State::as_str)
            }
            Part::Start | Part::Entry | Part::Elsewhere | Part::Plain => "",
        }
    }

    fn answer(&self, answer: Option<&Answer>) -> String {
        let Some(answer) = answer else { return String::new() };
        let name = |event: &EventIx| {
            let each = if self.model.lists[usize::from(*event)] { "each " } else { "" };
            format!("{each}{}", self.model.event(*event))
        };
        let names = |events: &[EventIx]| events.iter().map(name).collect::<Vec<_>>().join(" and ");
        let verb = if answer.decides { "decides" } else { "emits" };
        match (names(&answer.emits), names(&answer.schedules)) {
            (now, later) if now.is_empty() && later.is_empty() => "emits nothing".to_owned(),
            (now, later) if later.is_empty() => format!("{verb} {now}"),
            (now, later) if now.is_empty() => format!("schedules {later}"),
            (now, later) => format!("{verb} {now}, schedules {later}"),
        }
    }
}

fn might_decide(actor: &Actor) -> bool {
    actor.open.iter().any(|answer| answer.decides)
}
