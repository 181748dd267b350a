//! What can happen in a state, and which state it leads to.

use super::{
    compile::{Actor, Answer, Model, Part},
    footprint::Agent,
    state::{DELIVERIES_MAX, EventIx, Move, Row, SlotIx, State, Used},
};
use crate::ledger;

/// What a reaction does with a delivery that arrives now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A reaction without a row: it runs.
    React,
    /// A step runs, or its effect's answer is recorded.
    Step(usize),
    /// A step's effect is called.
    Call(usize),
    /// A join keeps the event, and lacks others.
    Gather(usize),
    /// An undo runs.
    Undo(usize),
    /// An undo finds nothing and bars its step.
    Bar(usize),
    /// An undo can't tell yet, or comes after another one.
    Wait,
    /// A step, or a part of a join, is given a second event.
    Refuse,
    /// Nothing is left to do.
    Skip,
}

impl Model {
    /// The first moves: the saga starts at one of its entry points.
    pub(crate) fn beginnings(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (entry, actor) in (0..).zip(&self.actors).filter(|(_, actor)| actor.part == Part::Start) {
            let starts = |answer: &Answer| self.start.is_some_and(|start| answer.emits.contains(&start));
            let answers = (0..).zip(&actor.open).filter(|(_, answer)| starts(answer));
            moves.extend(answers.map(|(choice, _)| Move::Use(entry, choice)));
        }
        moves
    }

    /// Everything that can happen, in a fixed order. Some of it may change nothing.
    pub(crate) fn moves(&self, state: &State, moves: &mut Vec<Move>) {
        let slots = (0..).zip(&self.slots).map(|(slot, _)| Agent::Slot(slot));
        let timers = (0..).zip(&self.events).map(|(event, _)| Agent::Timer(event));
        let actors = (0..).zip(&self.actors).map(|(actor, _)| Agent::Once(actor));
        slots.chain(timers).chain(actors).for_each(|agent| self.moves_of(state, agent, moves));
    }

    /// What one agent can do.
    pub(crate) fn moves_of(&self, state: &State, agent: Agent, moves: &mut Vec<Move>) {
        match agent {
            Agent::Slot(slot) => {
                let delivery = state.deliveries[usize::from(slot)];
                if delivery.waiting > 0 {
                    let choices = match self.arrival(state, slot) {
                        Arrival::React | Arrival::Step(_) | Arrival::Undo(_) => {
                            choices(self.answers(state, self.actor_of(slot)))
                        }
                        Arrival::Call(_)
                        | Arrival::Gather(_)
                        | Arrival::Bar(_)
                        | Arrival::Wait
                        | Arrival::Refuse
                        | Arrival::Skip => 1,
                    };
                    moves.extend((0..choices).map(|choice| Move::Deliver(slot, choice)));
                    moves.extend(self.give_ups.then_some(Move::GiveUp(slot)));
                }
                moves.extend((delivery.handled > 0).then_some(Move::Again(slot)));
            }
            Agent::Timer(event) => {
                moves.extend((state.timers[usize::from(event)] > 0).then_some(Move::Due(event)));
            }
            Agent::Once(entry) => {
                let actor = &self.actors[usize::from(entry)];
                if actor.part == Part::Entry && self.is_open(state, entry) {
                    moves.extend((0..choices(self.answers(state, actor))).map(|choice| Move::Use(entry, choice)));
                }
            }
        }
    }

    /// The state that a move leads to. `None` when it changes nothing.
    pub(crate) fn next(&self, state: &State, step: Move) -> Option<State> {
        match step {
            Move::Deliver(slot, choice) => self.deliver(state, slot, choice),
            // Its row is in the inbox.
            Move::Again(_) if self.rules.inbox => None,
            Move::Again(slot) => {
                let mut again = state.clone();
                let delivery = &mut again.deliveries[usize::from(slot)];
                delivery.handled -= 1;
                delivery.waiting += 1;
                Some(again)
            }
            Move::GiveUp(slot) => self.give_up(state, slot),
            Move::Due(event) => {
                let mut next = state.clone();
                let timer = &mut next.timers[usize::from(event)];
                *timer = timer.checked_sub(1)?;
                self.emit(&mut next, event);
                Some(next)
            }
            Move::Use(entry, choice) => self.used(state, entry, choice),
            Move::Never(actor) => {
                let mut next = state.clone();
                let used = &mut next.used[usize::from(actor)];
                (std::mem::replace(used, Used::Never) == Used::NotYet).then_some(next)
            }
        }
    }

    /// What a reaction does with a delivery, by the ledger's rules.
    pub(crate) fn arrival(&self, state: &State, slot: SlotIx) -> Arrival {
        let actor = self.actor_of(slot);
        match actor.part {
            Part::Start | Part::Entry | Part::Elsewhere | Part::Plain => Arrival::React,
            Part::Step { row, .. } if actor.is_join() => self.arrival_at_join(state, slot, row),
            Part::Step { row, has_undo: false, .. } => Arrival::Step(row),
            Part::Step { row, .. } => {
                let Row { state: found, by, .. } = state.rows[row];
                let same = by == Some(slot) && state.deliveries[usize::from(slot)].emitted() == 1;
                match (found, (self.rules.forward)(found)) {
                    (Some(ledger::State::Running | ledger::State::Done), _) if !same => Arrival::Refuse,
                    (_, ledger::Forward::Skip) => Arrival::Skip,
                    (None, ledger::Forward::Run) if actor.effect => Arrival::Call(row),
                    (_, ledger::Forward::Run) => Arrival::Step(row),
                }
            }
            Part::Undo { row, undoes } => {
                let Row { state: found, kept, .. } = state.rows[row];
                match (self.rules.undo)(found) {
                    ledger::Undo::Bar => Arrival::Bar(row),
                    ledger::Undo::Wait => Arrival::Wait,
                    ledger::Undo::Run if kept == Some(undoes) => {
                        if actor.after.iter().all(|row| is_over(state.rows[*row])) {
                            Arrival::Undo(row)
                        } else {
                            Arrival::Wait
                        }
                    }
                    // Of a step with several events to undo, another one happened.
                    ledger::Undo::Run | ledger::Undo::Skip => Arrival::Skip,
                }
            }
        }
    }

    fn deliver(&self, state: &State, slot: SlotIx, choice: u16) -> Option<State> {
        let actor = self.actor_of(slot);
        let arrival = self.arrival(state, slot);
        if arrival == Arrival::Wait || state.deliveries[usize::from(slot)].waiting == 0 {
            return None;
        }
        let mut next = state.clone();
        if let Arrival::Call(row) = arrival {
            next.rows[row] = Row { state: Some(ledger::State::Running), kept: None, by: Some(slot) };
            return Some(next);
        }
        handled(&mut next, slot);
        if let Arrival::React | Arrival::Step(_) | Arrival::Undo(_) = arrival {
            let answer = self.answers(state, actor).get(usize::from(choice))?;
            self.apply(&mut next, actor, answer);
            self.settle(&mut next, slot, answer);
        }
        if let (Arrival::Refuse, Part::Step { row, .. }) = (arrival, &actor.part) {
            next.refused[*row] = true;
        }
        if let Arrival::Gather(row) = arrival {
            next.rows[row].state = Some(ledger::State::Gathering);
        }
        if let Arrival::Bar(row) = arrival {
            self.bar(&mut next, row);
        }
        Some(next)
    }

    /// Moves the row on, after a step or an undo ran.
    fn settle(&self, next: &mut State, slot: SlotIx, answer: &Answer) {
        let actor = self.actor_of(slot);
        match &actor.part {
            Part::Start | Part::Entry | Part::Elsewhere | Part::Plain => {}
            Part::Step { row, done, has_undo } => {
                let emitted = |events: &[EventIx]| answer.emits.iter().copied().find(|event| events.contains(event));
                let kept = emitted(done);
                let happened = kept.is_some() || (actor.is_join() && !has_undo);
                let kept = kept.or_else(|| emitted(&actor.excuses));
                // It is the same whichever event came last.
                let by = (!actor.is_join()).then_some(slot);
                // Without an undo there is no row that would keep it from happening again; what is done stays done.
                if next.rows[*row].state != Some(ledger::State::Done) {
                    next.rows[*row] = Row { state: Some((self.rules.settle)(happened)), kept, by };
                }
            }
            Part::Undo { row, .. } => {
                next.rows[*row] = Row { state: Some(ledger::State::Undone), ..Row::default() };
            }
        }
    }

    /// Bars a step. If its effect was called, it may have happened: the row keeps that, whatever it says.
    fn bar(&self, next: &mut State, row: usize) {
        let Row { state, kept, by } = &mut next.rows[row];
        // Of a join that is over it makes no difference which event was the last.
        if self.actors[self.steps[row]].is_join() {
            *by = None;
        }
        if let Part::Step { done, .. } = &self.actors[self.steps[row]].part
            && *state == Some(ledger::State::Running)
        {
            *kept = done.first().copied();
        }
        *state = Some(ledger::State::Barred);
    }

    /// A reaction gives up: it says so, or it is lost without a word. `None` where the delivery waits for a person instead,
    /// which is only a delay.
    fn give_up(&self, state: &State, slot: SlotIx) -> Option<State> {
        let actor = self.actor_of(slot);
        if state.used[self.slot(slot).actor] == Used::Never {
            return None;
        }
        let row = match self.arrival(state, slot) {
            Arrival::React => None,
            Arrival::Step(row) | Arrival::Call(row) => Some(row),
            Arrival::Gather(_)
            | Arrival::Undo(_)
            | Arrival::Bar(_)
            | Arrival::Wait
            | Arrival::Refuse
            | Arrival::Skip => return None,
        };
        let running = row.is_some_and(|row| state.rows[row].state == Some(ledger::State::Running));
        let mut next = state.clone();
        handled(&mut next, slot);
        match (actor.gives_up_with, row) {
            (Some(event), row) => {
                if let Some(row) = row {
                    self.bar(&mut next, row);
                    if actor.excuses.contains(&event) {
                        next.rows[row].kept = Some(event);
                    }
                }
                self.emit(&mut next, event);
            }
            (None, _) if !actor.may_be_lost || running => return None,
            // Whichever of its events was the last: the join is lost.
            (None, Some(row)) if next.rows[row].state == Some(ledger::State::Gathering) => {
                next.rows[row].by = actor.joins[0].first().copied();
            }
            (None, _) => {}
        }
        Some(next)
    }

    fn answers<'m>(&self, state: &State, actor: &'m Actor) -> &'m [Answer] {
        if state.decided[actor.service] && self.rules.one_outcome { &actor.decided } else { &actor.open }
    }

    /// The answer that a delivery would have, by number.
    pub(crate) fn answer<'m>(&self, state: &State, actor: &'m Actor, choice: u16) -> Option<&'m Answer> {
        self.answers(state, actor).get(usize::from(choice))
    }

    pub(super) fn apply(&self, next: &mut State, actor: &Actor, answer: &Answer) {
        if answer.decides {
            next.decided[actor.service] = true;
            for event in &self.cancels[actor.service] {
                next.timers[usize::from(*event)] = 0;
            }
            for entry in &self.closes[actor.service] {
                let used = &mut next.used[usize::from(*entry)];
                if matches!(used, Used::NotYet | Used::Never) {
                    *used = Used::Closed;
                }
            }
        }
        for event in &answer.schedules {
            let timer = &mut next.timers[usize::from(*event)];
            *timer = timer.saturating_add(1);
        }
        for event in &answer.emits {
            self.emit(next, *event);
        }
    }

    fn emit(&self, next: &mut State, event: EventIx) {
        let event = usize::from(event);
        for entry in &self.asks[event] {
            let used = &mut next.used[usize::from(*entry)];
            if *used == Used::NotAsked {
                *used = Used::NotYet;
            }
        }
        next.completed |= self.completes[event];
        next.aborted |= self.aborts[event];
        for slot in &self.listeners[event] {
            count(&mut next.deliveries[usize::from(*slot)].waiting);
        }
    }
}

fn is_over(row: Row) -> bool {
    matches!(row.state, Some(ledger::State::Undone | ledger::State::Barred))
}

fn handled(next: &mut State, slot: SlotIx) {
    let delivery = &mut next.deliveries[usize::from(slot)];
    delivery.waiting -= 1;
    count(&mut delivery.handled);
}

fn count(deliveries: &mut u8) {
    *deliveries = DELIVERIES_MAX.min(*deliveries + 1);
}

fn choices(answers: &[Answer]) -> u16 {
    u16::try_from(answers.len()).unwrap_or(u16::MAX)
}
