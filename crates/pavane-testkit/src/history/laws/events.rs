//! Laws about events: from the commit that emits one to the commit that handles it.

use std::collections::{BTreeMap, HashSet};

use pavane::SagaId;
use pavane_choreography::{Emission, Manifest, Reaction, manifest::Part};
use pavane_contract::EventRef;

use super::Looking;
use crate::{
    Violation,
    history::{
        facts::{Commit, Committed, Decided, Facts},
        record::{Change, Emitted, GivenUp, Row, Unreadable},
        report::Law,
    },
};

/// So much later than its time a timer may go off, in microseconds: the relay looks every now and then.
const GRACE: i64 = 10_000_000;

/// Each service that was to be recorded is: of one that isn't, nothing else is looked at.
pub(super) fn recorded(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("each service is recorded");
    for service in facts.audited.keys() {
        let wrong = if !facts.declared.contains_key(service) {
            Some(format!("no service has declared itself as {service}"))
        } else if !facts.changes.contains_key(service) {
            Some(format!("no commit of {service} was recorded"))
        } else {
            None
        };
        looking.found(wrong.map(Violation::overall));
    }
    looking.law()
}

/// No ghosts, and nothing lost.
pub(super) fn committed_and_published(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("what is committed is published, and nothing else");
    for published in facts.published.values().copied().chain(facts.published_again.iter().copied()) {
        let event = &published.event;
        let of_audited = facts.audited.contains_key(event.event.owner());
        let wrong = match facts.committed.get(&event.id) {
            None if of_audited => Some("is in the stream, and was never committed".to_owned()),
            Some(committed) if committed.subject != published.subject => {
                Some(format!("was published to {}, not to {}", published.subject, committed.subject))
            }
            Some(_) | None => None,
        };
        looking.found(wrong.map(|what| about(event, &what)));
    }
    for (id, committed) in &facts.committed {
        let is_lost = !committed.refused && !facts.published.contains_key(id);
        looking.found(is_lost.then(|| about(committed.event, "was committed, and is not in the stream")));
    }
    for again in &facts.committed_again {
        looking.found([about(again, "was committed twice")]);
    }
    for Unreadable { at: (stream, sequence), why } in &facts.unreadable {
        looking.found([Violation::overall(format!("{stream} has a message that is no event, {sequence}: {why}"))]);
    }
    looking.law()
}

/// What is emitted on an event is committed with its handling: no effect without its event.
pub(super) fn caused(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("an event leaves with the commit that has its cause");
    let entered: HashSet<(&str, &EventRef)> = facts.manifests().flat_map(entered).collect();
    let undone: HashSet<(&str, &EventRef)> = facts.manifests().flat_map(undone).collect();
    let undoes: HashSet<(Commit<'_>, SagaId)> = facts
        .came_into
        .iter()
        .filter(|(.., state)| *state == "undone")
        .map(|(commit, saga, ..)| (*commit, *saga))
        .collect();
    for Committed { commit, event, .. } in facts.committed.values() {
        let handled = facts.handled_in.get(commit);
        let with_its_cause = event.cause.is_some_and(|cause| handled.is_some_and(|handled| handled.contains(&cause)));
        let came_due = facts.timers_gone.contains(&(*commit, event.id));
        let is_of = |events: &HashSet<(&str, &EventRef)>| events.contains(&(commit.0, &event.event));
        let is_asked_for = handled.is_none() && is_of(&entered);
        // An effect that undoes several items has a commit for each, and only the last one has handled the event.
        let undoes_an_item = is_of(&undone) && undoes.contains(&(*commit, event.saga));
        let wrong = !(with_its_cause || came_due || is_asked_for || undoes_an_item);
        looking.found(wrong.then(|| about(event, "was committed without what caused it")));
    }
    looking.law()
}

/// The events that enter a service from outside.
fn entered(manifest: &Manifest) -> impl Iterator<Item = (&str, &EventRef)> {
    let emitted = manifest.entries.iter().flat_map(|entry| &entry.emits).flat_map(Emission::events);
    emitted.map(|event| (manifest.service.as_str(), event))
}

/// The events that its undos emit.
fn undone(manifest: &Manifest) -> impl Iterator<Item = (&str, &EventRef)> {
    let undos = manifest.reactions.iter().filter(|reaction| !reaction.is_forward());
    undos.flat_map(Reaction::emitted).map(|event| (manifest.service.as_str(), event))
}

/// What a reaction must emit is in the commit that has handled the event: no event without its effect.
pub(super) fn emitted(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("what is handled emits what it must");
    for manifest in facts.manifests() {
        let service = manifest.service.as_str();
        let plain = manifest.reactions.iter().filter(|it| it.is_forward() && it.parts().is_empty());
        for reaction in plain {
            let name = reaction.name.as_str();
            let is_step = !matches!(manifest.part(reaction), Part::Plain);
            let wanted = facts.published.values().map(|it| &it.event).filter(|it| reaction.on.contains(&it.event));
            for event in wanted {
                let commit = facts.handled.get(&(service, name, event.id)).and_then(|it| it.first_key_value());
                let Some((_, commit)) = commit else { continue };
                // A step that came too late, or said no, has done nothing.
                if is_step && !facts.came_into.contains(&(*commit, event.saga, name, "done")) {
                    continue;
                }
                let emitted = facts.emitted_in.get(&(*commit, event.id)).map_or(&[][..], Vec::as_slice);
                let missing = missing(reaction, emitted);
                looking.found(
                    missing.map(|what| about(event, &format!("was handled by {service}/{name} without {what}"))),
                );
            }
        }
    }
    looking.law()
}

/// What a reaction must emit and has not.
fn missing(reaction: &Reaction, emitted: &[&EventRef]) -> Option<String> {
    if reaction.gives_up_with.as_ref().is_some_and(|event| emitted.contains(&event)) {
        return None;
    }
    reaction.emits.iter().find_map(|group| {
        if let Emission::All(events) = group {
            return events.iter().find(|event| !emitted.contains(event)).map(ToString::to_string);
        }
        let (Emission::OneOf(events) | Emission::Each(events)) = group else { return None };
        let names = || events.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        (!events.iter().any(|event| emitted.contains(&event))).then(names)
    })
}

/// Every reaction handles each of its events once, or has given up on it.
pub(super) fn handled_once(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("an event is handled once by each reaction");
    for manifest in facts.manifests() {
        let service = manifest.service.as_str();
        for reaction in &manifest.reactions {
            let wanted = facts.published.values().map(|it| &it.event).filter(|it| reaction.on.contains(&it.event));
            for event in wanted {
                let times = facts.handled.get(&(service, reaction.name.as_str(), event.id)).map_or(0, BTreeMap::len);
                let by = format!("{service}/{}", reaction.name);
                let wrong = match times {
                    0 if facts.is_given_up(service, &reaction.name, event.id) => None,
                    0 => Some(format!("was not handled by {by}")),
                    1 => None,
                    times => Some(format!("was handled {times} times by {by}")),
                };
                looking.found(wrong.map(|what| about(event, &what)));
            }
        }
    }
    for (service, reaction, id) in facts.handled.keys() {
        let is_known = facts.published.contains_key(id);
        let what = || format!("{service}/{reaction} has handled the event {id}, which is not in the stream");
        looking.found((!is_known).then(|| Violation::overall(what())));
    }
    looking.law()
}

/// Events of one key stand in the stream in the order of their commits. Of two commits at the same time, neither is the first.
pub(super) fn in_order(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("events of a key are published in the order of their commits");
    let mut of_key: BTreeMap<(&str, &str), Vec<(&Committed<'_>, u64)>> = BTreeMap::new();
    for (id, committed) in &facts.committed {
        let Some(published) = facts.published.get(id) else { continue };
        let key = committed.subject.rsplit('.').next().unwrap_or_default();
        of_key.entry((committed.commit.0, key)).or_default().push((committed, published.sequence));
    }
    for mut events in of_key.into_values() {
        events.sort_by_key(|(committed, _)| committed.seq);
        // What was refused and tried again comes behind what has left meanwhile.
        events.retain(|(committed, _)| !committed.was_refused);
        for (at, (first, place)) in events.iter().enumerate() {
            let later = events[at + 1..]
                .iter()
                .filter(|(second, _)| first.commit == second.commit || second.change.saw(first.commit.1));
            for (second, other) in later {
                let what = || format!("was committed after {} and published before it", first.event.event);
                looking.found((other < place).then(|| about(second.event, &what())));
            }
        }
    }
    looking.law()
}

/// What is to be done is done: nothing is unsent, no undo waits, no timer is over-due or left of a saga that has ended.
pub(super) fn nothing_waits(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("nothing is left to be done");
    for ((service, _), change) in &facts.waiting {
        looking.found(left(facts, service, change));
    }
    looking.looked_at = facts.waited;
    looking.law()
}

fn left(facts: &Facts<'_>, service: &str, change: &Change) -> Option<Violation> {
    match &change.row {
        Row::Unsent { seq } => Some(Violation::overall(format!("the outbox of {service} has not sent its row {seq}"))),
        Row::DeadLetter { id, reaction, .. } => {
            Some(Violation::overall(format!("the dead letter {id} of {service}/{reaction} is not published")))
        }
        Row::Waiting { reaction, saga, .. } => {
            Some(Violation::of(*saga, format!("{service}/{reaction} still waits for its step")))
        }
        Row::Timer { saga, event, due_at, .. } => {
            let of_timer = |what: &str| Violation::of(*saga, format!("the timer {event} of {service} {what}"));
            let manifest = facts.declared.get(service).map(|declared| &declared.manifest)?;
            // What is set with the outcome, or after it, stays.
            let before = |it: &Decided<'_>| it.commit.0 == service && it.change.saw(change.tx);
            let has_ended = facts.outcomes.get(saga).is_some_and(|outcomes| outcomes.iter().any(before));
            if has_ended && manifest.cancelled_by_outcome().contains(event.as_str()) {
                return Some(of_timer("is left, and its saga has ended"));
            }
            let is_over_due = facts.audited.get(service).is_some_and(|read_at| due_at + GRACE < *read_at);
            is_over_due.then(|| of_timer("is over-due"))
        }
        Row::Inbox { .. } | Row::Ledger { .. } | Row::Outbox { .. } | Row::Outcome { .. } => None,
    }
}

/// No dead letter is left that was not redriven, or that a failure event has not told of; and the broker has refused nothing.
pub(super) fn nothing_given_up(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("nothing is given up");
    for letter in &facts.letters {
        let GivenUp { service, reaction, cause, event, .. } = letter;
        let key = |event: &Emitted| (service.as_str(), reaction.as_str(), event.id);
        let was_redriven =
            event.as_ref().map(key).is_some_and(|it| facts.given_up.contains(&it) && facts.handled.contains_key(&it));
        let manifest = facts.declared.get(service.as_str()).map(|declared| &declared.manifest);
        let declared = manifest.and_then(|it| it.reactions.iter().find(|it| it.name == *reaction));
        let is_told = declared.is_some_and(|reaction| reaction.gives_up_with.is_some());
        let of = event.as_ref().map_or_else(|| "what is no event".to_owned(), |it| it.event.to_string());
        let (what, saga) = (format!("{service}/{reaction} gave up on {of}: {cause}"), event.as_ref().map(|it| it.saga));
        looking.found((!was_redriven && !is_told).then_some(Violation { invariant: String::new(), saga, what }));
    }
    for committed in facts.committed.values().filter(|committed| committed.refused) {
        looking.found([about(committed.event, "was refused by the broker")]);
    }
    looking.law()
}

fn about(event: &Emitted, what: &str) -> Violation {
    Violation::of(event.saga, format!("{} {what}", event.event))
}
