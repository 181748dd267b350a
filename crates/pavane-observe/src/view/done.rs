//! What was done and undone: the steps of a saga, and how far each of its items is.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    View,
    saga::{Saga, What},
};
use crate::{
    report::{Effect, Fate, ItemState, ItemStep},
    rules::{Rule, RuleId},
};

/// The fates of a step's items, that of which somebody has to know first.
const BY_WEIGHT: [Fate; 6] = [Fate::Failed, Fate::Undoing, Fate::Armed, Fate::Kept, Fate::Presumed, Fate::Undone];

impl View {
    /// The steps that were done. A step that has items is one.
    pub(super) fn effects(&self, saga: &Saga) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (id, undo, undoes) in self.rules.undos() {
            let done = saga.firsts(&[undoes], undo.each);
            let Some(first) = done.first() else { continue };
            let step = |rule: &&Rule| rule.undo == Some(id);
            let Some(step) = self.rules.reactions.iter().find(step) else { continue };
            let fates: Vec<Fate> = done.iter().map(|done| self.fate(saga, id, *done)).collect();
            let Some(fate) = BY_WEIGHT.into_iter().find(|fate| fates.contains(fate)) else { continue };
            effects.push(Effect {
                service: undo.service.clone(),
                step: step.reaction.clone(),
                done: self.rules.name(undoes).to_owned(),
                done_sequence: saga.events[*first].sequence,
                external: step.effect,
                undo: undo.reaction.clone(),
                fate,
            });
        }
        effects.sort_by_key(|effect| effect.done_sequence);
        effects
    }

    /// Whether what was done was undone.
    fn fate(&self, saga: &Saga, id: RuleId, done: usize) -> Fate {
        let undo = self.rules.rule(id);
        let about = saga.events[done].about(undo.each);
        // Whatever of it is owed is owed on the same trigger.
        let waits = || saga.waits.iter().filter(|wait| wait.rule == id);
        let triggered = || saga.events.iter().any(|event| self.rules.on(event.kind).any(|(rule, _)| rule == id));
        let mut events = saga.events.iter().filter(|event| undo.emitted.contains(&event.kind));
        match saga.outcome {
            _ if events.any(|event| event.about(undo.each) == about) => Fate::Undone,
            _ if waits().any(|wait| wait.dead_letter.is_some()) => Fate::Failed,
            _ if triggered() && waits().any(|wait| self.judge(wait).certain) => Fate::Undoing,
            _ if triggered() => Fate::Presumed,
            Some((_, true)) => Fate::Kept,
            _ => Fate::Armed,
        }
    }

    /// How far the items are with each reaction that runs once for each of them.
    pub(super) fn item_steps(&self, saga: &Saga) -> Vec<ItemStep> {
        let each = (0..).zip(&self.rules.reactions).filter(|(_, rule)| rule.each && !rule.is_undo());
        each.filter_map(|(id, rule)| {
            let mut seen = BTreeSet::new();
            let mut items: BTreeMap<ItemState, Vec<u32>> = BTreeMap::new();
            let mut of = 0;
            for (position, event) in saga.events.iter().enumerate() {
                let runs = || self.rules.on(event.kind).any(|(rule, _)| rule == id);
                let Some(item) = event.item.filter(|_| runs()) else { continue };
                if seen.insert(item.number()) {
                    items.entry(self.item_state(saga, id, position)).or_default().push(item.number());
                    of = of.max(item.count());
                }
            }
            let missing: Vec<u32> = (1..=of).filter(|number| !seen.contains(number)).collect();
            if !missing.is_empty() {
                items.insert(ItemState::Missing, missing);
            }
            for numbers in items.values_mut() {
                numbers.sort_unstable();
            }
            (of > 0).then(|| ItemStep::new(&rule.service, &rule.reaction, of, items))
        })
        .collect()
    }

    /// How far a reaction is with the item of an event.
    fn item_state(&self, saga: &Saga, id: RuleId, on: usize) -> ItemState {
        let rule = self.rules.rule(id);
        if let Some(wait) = saga.waits.iter().find(|wait| wait.rule == id && usize::from(wait.on) == on) {
            let judged = self.judge(wait);
            match wait.what {
                _ if wait.dead_letter.is_some() => return ItemState::Failed,
                _ if judged.overdue => return ItemState::Late,
                What::Answer(_) => return ItemState::Waiting,
                What::Handled | What::Parts if judged.certain => return ItemState::Waiting,
                What::Handled | What::Parts => {}
            }
        }
        let answers = || saga.events.iter().enumerate().filter(|(_, event)| event.cause() == Some(on));
        let answer = |kind| answers().find(|(_, event)| event.kind == kind).map(|(position, _)| position);
        let undo = rule.undo.map(|undo| (undo, self.rules.rule(undo).undoes));
        let has_answered = answers().any(|(_, event)| rule.emitted.contains(&event.kind));
        match (undo, has_answered) {
            (Some((undo, kind)), true) => match kind.and_then(answer) {
                Some(done) => self.undone_state(saga, undo, done),
                None => ItemState::Refused,
            },
            (None, true) if rule.gives_up.is_some_and(|event| answer(event).is_some()) => ItemState::Refused,
            (None, false) if !rule.must.is_empty() => ItemState::Skipped,
            (Some(_), false) => ItemState::Skipped,
            (None, true | false) => ItemState::Done,
        }
    }

    fn undone_state(&self, saga: &Saga, undo: RuleId, done: usize) -> ItemState {
        match self.fate(saga, undo, done) {
            Fate::Armed | Fate::Kept => ItemState::Done,
            Fate::Undoing => ItemState::Undoing,
            Fate::Undone | Fate::Presumed => ItemState::Undone,
            Fate::Failed => ItemState::Failed,
        }
    }
}
