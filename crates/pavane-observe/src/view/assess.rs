//! What a saga waits for, from the stream alone: declared answers that are not there yet.

use super::saga::{Saga, Wait, What};
use crate::{
    report::Action,
    rules::{Kind, Rule, RuleId, Rules},
};

/// Works out outcome and waits of a saga from its events.
pub(super) fn assess(saga: &mut Saga, rules: &Rules) {
    let started = saga.events.iter().find_map(|event| rules.started_by(event.kind));
    saga.rule = started.and_then(|rule| u8::try_from(rule).ok());
    saga.outcome = outcome(saga, rules);
    let mut waits = std::mem::take(&mut saga.waits);
    waits.clear();
    if !saga.resolved() {
        let assessment = Assessment::new(saga, rules);
        assessment.forward(&mut waits);
        assessment.undo(&mut waits);
        waits.retain(|wait| !assessment.given_up_by_hand(wait));
    }
    waits.shrink_to_fit();
    saga.waits = waits;
}

/// The outcome that stands: the first one in the stream.
fn outcome(saga: &Saga, rules: &Rules) -> Option<(u16, bool)> {
    let rule = &rules.sagas[usize::from(saga.rule?)];
    let ends = |kind: &Kind| rule.completes.contains(kind) || rule.aborts.contains(kind);
    let position = saga.events.iter().position(|event| ends(&event.kind))?;
    Some((u16::try_from(position).ok()?, rule.completes.contains(&saga.events[position].kind)))
}

struct Assessment<'a> {
    saga: &'a Saga,
    rules: &'a Rules,
    /// What led to what: cause and kind, sorted. A saga with a thousand items has thousands of events.
    led: Vec<(usize, Kind)>,
    /// The first trigger of each undo that has one.
    triggers: Vec<(RuleId, usize)>,
}

impl<'a> Assessment<'a> {
    fn new(saga: &'a Saga, rules: &'a Rules) -> Self {
        let mut led: Vec<_> = saga.events.iter().filter_map(|event| Some((event.cause()?, event.kind))).collect();
        led.sort_unstable();
        let mut triggers: Vec<(RuleId, usize)> = Vec::new();
        for (position, event) in saga.events.iter().enumerate() {
            for (undo, _) in rules.on(event.kind).filter(|(_, rule)| rule.is_undo()) {
                if triggers.iter().all(|(known, _)| *known != undo) {
                    triggers.push((undo, position));
                }
            }
        }
        Self { saga, rules, led, triggers }
    }

    /// Every reaction on every event.
    fn forward(&self, waits: &mut Vec<Wait>) {
        for (position, event) in self.saga.events.iter().enumerate() {
            for (id, rule) in self.rules.on(event.kind) {
                if !rule.is_undo() && !rule.is_join() {
                    self.reaction(id, &[position], waits);
                }
            }
        }
        for (id, rule) in self.rules.joins() {
            let arrived = self.saga.arrived(rule);
            if self.saga.has_all(rule) {
                self.reaction(id, &arrived, waits);
            } else if !arrived.is_empty() && self.saga.outcome.is_none() {
                waits.push(self.wait(id, &arrived, What::Parts, false));
            }
        }
    }

    /// A reaction on an event, or a join on its events.
    fn reaction(&self, id: RuleId, on: &[usize], waits: &mut Vec<Wait>) {
        let rule = self.rules.rule(id);
        if self.gave_up(rule, on) {
            return;
        }
        if !rule.undo.is_some_and(|undo| self.triggered(undo)) {
            self.answers(id, on, waits);
        } else if !self.answered(rule, on) {
            // Its undo may have come first and barred it: it then emits nothing, and only its consumer shows that.
            waits.push(self.wait(id, on, What::Handled, true));
        }
    }

    /// The answers of one reaction that are not there yet.
    fn answers(&self, id: RuleId, on: &[usize], waits: &mut Vec<Wait>) {
        let rule = self.rules.rule(id);
        for (number, group) in (0..).zip(&rule.must) {
            // Most groups are no outcomes, and a saga may have thousands of events.
            let decided =
                !group.outcomes.is_empty() && self.saga.events.iter().any(|event| group.outcomes.contains(&event.kind));
            let is_given = if group.list {
                self.saga.lacks(on, group).is_some_and(|lacks| lacks.is_empty())
            } else {
                self.led_to(on, &group.awaits)
            };
            if !decided && !is_given {
                waits.push(self.wait(id, on, What::Answer(number), false));
            }
        }
        if rule.must.is_empty() {
            waits.push(self.wait(id, on, What::Handled, false));
        }
    }

    /// Every undo that was triggered: of each item that was done, and of what may still be done.
    fn undo(&self, waits: &mut Vec<Wait>) {
        for (id, rule, undoes) in self.rules.undos() {
            let Some(trigger) = self.trigger(id) else { continue };
            if (rule.each || self.saga.first(undoes).is_none()) && self.may_still_happen(id) {
                waits.push(self.wait(id, &[trigger], What::Handled, true));
            }
            let mut undone = |what: What, by: &[Kind]| {
                let owed = self.saga.not_undone(rule, by);
                waits.extend(owed.into_iter().map(|done| self.undo_of(done, self.wait(id, &[trigger], what, true))));
            };
            if rule.must.is_empty() {
                undone(What::Handled, &rule.emitted);
            }
            for (number, group) in (0..).zip(&rule.must) {
                undone(What::Answer(number), &group.awaits);
            }
        }
    }

    /// Whether the step of an undo has an event to run on and has not answered.
    fn may_still_happen(&self, undo: RuleId) -> bool {
        let open = |rule: &Rule, on: &[usize]| !self.answered(rule, on) && !self.gave_up(rule, on);
        let mut steps = self.rules.reactions.iter().filter(|rule| rule.undo == Some(undo));
        steps.any(|step| {
            if step.is_join() {
                return self.saga.has_all(step) && open(step, &self.saga.arrived(step));
            }
            let on = |kind| self.rules.on(kind).any(|(_, rule)| std::ptr::eq(rule, step));
            let mut events = self.saga.events.iter().enumerate();
            events.any(|(position, event)| on(event.kind) && open(step, &[position]))
        })
    }

    fn answered(&self, rule: &Rule, on: &[usize]) -> bool {
        self.led_to(on, &rule.emitted)
    }

    fn gave_up(&self, rule: &Rule, on: &[usize]) -> bool {
        rule.gives_up.is_some_and(|event| self.led_to(on, &[event]))
    }

    /// Whether one of these events led to one of these kinds.
    fn led_to(&self, on: &[usize], kinds: &[Kind]) -> bool {
        on.iter().any(|position| {
            let first = self.led.partition_point(|(cause, _)| cause < position);
            let mut led = self.led[first..].iter().take_while(|(cause, _)| cause == position);
            led.any(|(_, kind)| kinds.contains(kind))
        })
    }

    fn triggered(&self, undo: RuleId) -> bool {
        self.trigger(undo).is_some()
    }

    /// The first trigger of an undo.
    fn trigger(&self, undo: RuleId) -> Option<usize> {
        self.triggers.iter().find(|(known, _)| *known == undo).map(|(_, position)| *position)
    }

    /// A wait of a reaction since the last of its events, or since a later redrive of any of them.
    fn wait(&self, id: RuleId, on: &[usize], what: What, compensates: bool) -> Wait {
        let (rule, position) = (self.rules.rule(id), on[on.len() - 1]);
        let event = &self.saga.events[position];
        let redrives = on.iter().filter_map(|on| self.saga.redriven(&rule.service, &rule.reaction, *on));
        let again = redrives.max_by_key(|redrive| redrive.sequence).filter(|again| again.sequence > event.sequence);
        Wait {
            rule: id,
            on: u16::try_from(position).unwrap_or(u16::MAX),
            what,
            item: event.item.filter(|_| rule.each && !rule.is_undo()),
            since: again.map_or(event.stored_at, |redrive| redrive.stored_at),
            sequence: again.map_or(event.sequence, |redrive| redrive.sequence),
            compensates,
            dead_letter: None,
        }
    }

    /// An undo waits for both its trigger and the event that it undoes.
    fn undo_of(&self, done: usize, mut wait: Wait) -> Wait {
        let done = &self.saga.events[done];
        wait.item = done.item.filter(|_| self.rules.rule(wait.rule).each);
        wait.since = wait.since.max(done.stored_at);
        wait
    }

    /// Whether an operator discarded the dead letter because of which the answer never comes.
    fn given_up_by_hand(&self, wait: &Wait) -> bool {
        let rule = self.rules.rule(wait.rule);
        self.saga.decisions().iter().any(|decision| {
            decision.action == Action::Discard
                && decision.service.as_deref() == Some(rule.service.as_str())
                && decision.reaction.as_deref() == Some(rule.reaction.as_str())
                && self.saga.is_held_up(wait, rule, decision.event_id)
        })
    }
}
