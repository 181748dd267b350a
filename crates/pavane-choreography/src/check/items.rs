//! Items: a reaction to an event that has them must take each, or wait for every one.

use pavane_contract::EventRef;

use super::{Finding, Rule, Subject};
use crate::{Emission, JoinPart, Reaction, graph::Actor, items};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (actor, reaction) in subject.graph.reactions() {
        findings.extend(without_items(subject, actor, reaction));
        findings.extend(as_one(subject, actor, reaction));
        findings.extend(undone_as_one(subject, actor, reaction));
    }
    for actor in &subject.graph.actors {
        findings.extend(here_and_there(subject, *actor));
        findings.extend(of_an_item(subject, *actor));
    }
    findings
}

/// It would never run.
fn without_items(subject: &Subject<'_>, actor: Actor<'_>, reaction: &Reaction) -> Vec<Finding> {
    let finding = |event: &EventRef, instead: &str| {
        let mend = format!("take {instead}, or let {} be emitted as a list: .emits_each::<…>()", event.name);
        Finding::new(Rule::NoItems, mend).at(actor).event(event)
    };
    // Where an item's reaction has no items itself, that is what has to change.
    let is_root = |emitter: Actor<'_>| !emitter.has_items();
    let has_none = |event: &&EventRef| !subject.items.has(event) && subject.graph.emitters(event).any(is_root);
    let each = reaction.on.iter().filter(|_| reaction.is_per_item()).filter(has_none);
    let every = reaction.parts().iter().filter_map(every).filter(has_none);
    let each = each.map(|event| finding(event, "&Envelope<…> in place of Each<…>"));
    each.chain(every.map(|event| finding(event, "the event in place of Every<…>"))).collect()
}

fn every(part: &JoinPart) -> Option<&EventRef> {
    match part {
        JoinPart::Every(event) => Some(event),
        JoinPart::OneOf(_) => None,
    }
}

/// What has a row in the ledger, or a part of one, refuses the second item.
fn as_one(subject: &Subject<'_>, actor: Actor<'_>, reaction: &Reaction) -> Option<Finding> {
    if reaction.is_per_item() || reaction.undoes().is_some() {
        return None;
    }
    let parts = reaction.parts().iter().filter(|part| every(part).is_none());
    let joined = parts.flat_map(JoinPart::events).find(|event| subject.items.has(event));
    let is_step = reaction.parts().is_empty() && actor.has_undo();
    let single = reaction.on.iter().find(|event| is_step && subject.items.has(event));
    let (event, instead) = match (joined, single) {
        (Some(event), _) => (event, "wait for all of its items: Every<…>"),
        (None, Some(event)) => (event, "take each of its items: Each<…>, or wait for all of them: Every<…>"),
        (None, None) => return None,
    };
    Some(Finding::new(Rule::ItemAsOne, instead).at(actor).event(event).path(subject.way_to(event)))
}

/// A step that emits a list has one row, and keeps one event.
fn undone_as_one(subject: &Subject<'_>, actor: Actor<'_>, undo: &Reaction) -> Option<Finding> {
    let event = undo.undoes().filter(|event| subject.items.has(event))?;
    let step = actor.manifest.step_of(undo).filter(|step| !step.is_per_item())?;
    let mend = format!(
        "undo what the reactions to {} did, or let {} emit an event beside it to undo",
        event.name,
        step.name()
    );
    Some(Finding::new(Rule::ItemAsOne, mend).at(actor).event(event))
}

/// All that emit an event must emit it for the items of the same list, or for none.
fn here_and_there(subject: &Subject<'_>, actor: Actor<'_>) -> Vec<Finding> {
    let list = actor.reaction().and_then(|reaction| subject.items.list_of(actor.manifest, reaction));
    let stamped: Vec<&EventRef> = match (list, actor.reaction()) {
        (Some(_), Some(reaction)) => items::stamped(reaction).collect(),
        _ => Vec::new(),
    };
    let lists: Vec<&EventRef> = actor.emits().iter().filter_map(items::of_list).collect();
    let finding = |event: &EventRef| {
        let known = subject.items.list(event)?;
        let ours = if lists.contains(&event) { Some(event) } else { list.filter(|_| stamped.contains(&event)) };
        let mend = match ours {
            Some(ours) if ours == known => return None,
            Some(ours) => format!("emit another event for the items of {}: it has those of {}", ours.name, known.name),
            None => format!("emit another event here, or take Each<…>: it has the items of {}", known.name),
        };
        Some(Finding::new(Rule::ItemsHereAndThere, mend).at(actor).event(event))
    };
    actor.emitted().filter_map(finding).collect()
}

/// An item has one number, and a saga has one timer and one question of a name.
fn of_an_item(subject: &Subject<'_>, actor: Actor<'_>) -> Vec<Finding> {
    let finding = |event: &EventRef, mend: &str| Finding::new(Rule::OfAnItem, mend).at(actor).event(event);
    let asked = actor.question().map(|question| &question.asks);
    let asked = asked.filter(|asks| subject.items.has(asks));
    let asked = asked.map(|event| finding(event, "ask once for all of them: let a reaction on Every<…> ask"));
    let groups = actor.emits().iter().filter(|_| actor.has_items());
    let emitted = groups.filter_map(|group| match group {
        Emission::Each(_) => Some((group, "emit all of it as one list, numbered through")),
        Emission::Scheduled(_) => {
            Some((group, "schedule it once for all of them: where the list is emitted, or in a reaction on Every<…>"))
        }
        Emission::All(_) | Emission::OneOf(_) | Emission::Maybe(_) | Emission::Outcome(_) => None,
    });
    let emitted = emitted.filter_map(|(group, mend)| Some(finding(group.events().first()?, mend)));
    asked.into_iter().chain(emitted).collect()
}
