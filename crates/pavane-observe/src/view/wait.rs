//! What a saga waits for, in words.

use std::{cmp::Reverse, collections::BTreeSet};

use pavane_contract::Item;

use super::{
    View,
    parts::There,
    saga::{Saga, Wait, What, time},
    tell::{duration, unsigned},
};
use crate::{
    report::{Gathered, Items, Outstanding},
    rules::{Kind, PartRule},
};

impl View {
    /// What a saga waits for; overdue waits first.
    pub(super) fn outstanding(&self, saga: &Saga) -> Vec<Outstanding> {
        let mut outstanding: Vec<Outstanding> =
            self.folded(saga).into_iter().map(|(wait, items)| self.wait(saga, wait, items)).collect();
        if self.too_late(saga) {
            outstanding.extend(self.end_that_does_not_come(saga));
        }
        // First what won't come by itself; then answers before mere handling, because the saga goes on with them.
        outstanding.sort_by_key(|wait| {
            let beyond = wait.waited_ms.saturating_sub(wait.stuck_after_ms);
            (Reverse(wait.overdue), wait.dead_letter.is_none(), wait.awaits.is_empty(), Reverse(beyond), wait.since)
        });
        outstanding
    }

    /// What is known to be awaited. What differs by the item only is one, and waits since the first of them.
    fn folded<'s>(&self, saga: &'s Saga) -> Vec<(&'s Wait, Vec<Item>)> {
        let mut folded: Vec<(&Wait, Vec<Item>)> = Vec::new();
        for wait in saga.waits.iter().filter(|wait| self.judge(wait).certain) {
            let is_same = |other: &Wait| {
                let each = wait.item.is_some() && other.item.is_some();
                each && (other.rule, other.what, other.dead_letter) == (wait.rule, wait.what, wait.dead_letter)
                    && self.judge(other).overdue == self.judge(wait).overdue
            };
            match folded.iter_mut().find(|(other, _)| is_same(other)) {
                Some((first, items)) => {
                    items.extend(wait.item);
                    if wait.since < first.since {
                        *first = wait;
                    }
                }
                None => folded.push((wait, wait.item.into_iter().collect())),
            }
        }
        folded
    }

    fn wait(&self, saga: &Saga, wait: &Wait, items: Vec<Item>) -> Outstanding {
        let rule = self.rules.rule(wait.rule);
        let on = &saga.events[usize::from(wait.on)];
        let parts: Vec<(&PartRule, There)> = rule.parts.iter().map(|part| (part, saga.there(part))).collect();
        let missing: Vec<_> = parts.iter().filter(|(_, there)| !there.is_all()).collect();
        let group = if let What::Answer(group) = wait.what { rule.must.get(usize::from(group)) } else { None };
        let list = group.filter(|group| group.list);
        let lacks = list.and_then(|list| saga.lacks(&saga.run_on(rule, Some(on.id)), list));
        let awaits = match wait.what {
            What::Answer(_) => group.map_or_else(Vec::new, |group| self.rules.names(&group.awaits)),
            What::Handled => Vec::new(),
            What::Parts => missing.iter().flat_map(|(part, _)| self.rules.names(&part.kinds)).collect(),
        };
        let gathered = Gathered {
            events: parts.iter().map(|(_, there)| there.events.len()).sum(),
            of: parts.iter().map(|(_, there)| there.of).sum(),
        };
        let mut told = Outstanding {
            service: rule.service.clone(),
            reaction: rule.reaction.clone(),
            on: self.name(on).to_owned(),
            on_id: Some(on.id),
            awaits,
            undo: rule.is_undo(),
            since: time(wait.since),
            waited_ms: unsigned((self.now() - wait.since) / 1000),
            stuck_after_ms: unsigned(rule.stuck_after_ms),
            overdue: self.judge(wait).overdue,
            dead_letter: wait.dead_letter,
            gathered: (wait.what == What::Parts).then_some(gathered),
            items: Items::of(lacks.unwrap_or(items)),
            sentence: String::new(),
        };
        let each = if list.is_some() && told.items.is_none() { "each " } else { "" };
        let missing: Vec<_> = missing.iter().map(|(part, there)| self.told_part(saga, part, there)).collect();
        told.sentence = sentence(&told, &missing, each);
        told
    }

    /// For example: `car.booked or car.unavailable from car`, or `seat.reserved of items 2 and 4 of 5 from flight`.
    fn told_part(&self, saga: &Saga, part: &PartRule, there: &There) -> String {
        let mut owners: Vec<_> = part.kinds.iter().map(|kind| self.rules.event(*kind).owner()).collect();
        owners.dedup();
        let (names, owners) = (self.rules.names(&part.kinds).join(" or "), owners.join(" or "));
        let came: BTreeSet<Item> = there.events.iter().filter_map(|event| saga.events[*event].item).collect();
        let all = came.first().filter(|_| part.every).map_or(0, |item| item.count());
        let missing = (1..=all).filter_map(|number| Item::new(number, all)).filter(|item| !came.contains(item));
        match Items::of(missing) {
            Some(items) => format!("{names} of {items} from {owners}"),
            None if part.every => format!("every {names} from {owners}"),
            None => format!("{names} from {owners}"),
        }
    }

    /// The saga waits for no answer, and yet has no outcome within its time.
    fn end_that_does_not_come(&self, saga: &Saga) -> Option<Outstanding> {
        let rule = &self.rules.sagas[usize::from(saga.rule?)];
        let (since, within) = self.deadline(saga)?;
        let ends: Vec<Kind> = rule.completes.iter().chain(&rule.aborts).copied().collect();
        let mut told = Outstanding {
            service: String::new(),
            reaction: String::new(),
            on: saga.events.first().map(|first| self.name(first).to_owned()).unwrap_or_default(),
            on_id: saga.events.first().map(|first| first.id),
            awaits: self.rules.names(&ends),
            undo: false,
            since: time(since),
            waited_ms: unsigned((self.now() - since) / 1000),
            stuck_after_ms: unsigned(within),
            overdue: true,
            dead_letter: None,
            gathered: None,
            items: None,
            sentence: String::new(),
        };
        told.sentence = sentence(&told, &[], "");
        Some(told)
    }
}

/// For example: `waiting 47 s for payment.captured or payment.capture-failed from payment; stuck after 30 s`.
fn sentence(wait: &Outstanding, missing: &[String], each: &str) -> String {
    let (waited, stuck_after) = (duration(wait.waited_ms), duration(wait.stuck_after_ms));
    let items = wait.items.as_ref().map(|items| format!(" of {items}")).unwrap_or_default();
    let what = match wait.awaits.as_slice() {
        [] => format!("{} to handle {} ({}{items})", wait.service, wait.on, wait.reaction),
        awaits if wait.service.is_empty() => format!("{} from anybody", awaits.join(" or ")),
        awaits => format!("{each}{}{items} from {}", awaits.join(" or "), wait.service),
    };
    let in_vain = |letter: u64| format!(", in vain: {} gave up (dead letter {letter})", wait.reaction);
    let in_vain = wait.dead_letter.map(in_vain);
    if let Some(Gathered { events, of }) = wait.gathered {
        let (reaction, missing, in_vain) = (&wait.reaction, missing.join(" and "), in_vain.unwrap_or_default());
        return format!("{reaction} has {events} of {of} events, waiting {waited} for {missing}{in_vain}");
    }
    let then = in_vain.unwrap_or_else(|| format!("; stuck after {stuck_after}"));
    format!("waiting {waited} for {what}{then}")
}
