//! Laws about events: from the commit that emits one to the commit that handles it.

use std::collections::{BTreeMap, BTreeSet};

use pavane_choreography::{Emission, Manifest};
use pavane_contract::EventRef;

use super::Looking;
use crate::{
    Violation,
    history::{
        facts::{Committed, Facts},
        record::{Emitted, Row},
        verdict::Law,
    },
};

/// No ghosts, and nothing lost.
pub(super) fn committed_and_published(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("what is committed is published, and nothing else");
    for (id, published) in &facts.published {
        let event = &published.event;
        let of_audited = facts.audited.contains(event.event.owner());
        let wrong = match facts.committed.get(id) {
            None if of_audited => Some(format!("{} is in the stream, and was never committed", event.event)),
            Some(committed) if committed.subject != published.subject => {
                Some(format!("{} was published to {}, not to {}", event.event, published.subject, committed.subject))
            }
            Some(_) | None => None,
        };
        looking.found(wrong.map(|what| Violation::of(event.saga, what)));
    }
    for (id, committed) in &facts.committed {
        let is_lost = !committed.refused && !facts.published.contains_key(id);
        looking.found(is_lost.then(|| about(committed.event, "was committed, and is not in the stream")));
    }
    let again = facts.committed_again.iter().map(|event| about(event, "was committed twice"));
    looking.found(again);
    looking.law()
}

/// What is emitted on an event is committed with its handling: no effect without its event.
pub(super) fn caused(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("an event leaves with the commit that has its cause");
    let entered: BTreeSet<(&str, &EventRef)> = facts.manifests().flat_map(entered).collect();
    for committed in facts.committed.values() {
        let Committed { commit, event, .. } = committed;
        let Some(cause) = event.cause else { continue };
        let with_its_cause = facts.handled_in.get(commit).is_some_and(|handled| handled.contains(&cause));
        let came_due = facts.timers_gone.contains(&(*commit, event.id));
        let is_asked_for = entered.contains(&(commit.0, &event.event));
        let wrong = !(with_its_cause || came_due || is_asked_for);
        looking.found(wrong.then(|| about(event, "was committed without what caused it")));
    }
    looking.law()
}

/// The events that enter a service from outside.
fn entered(manifest: &Manifest) -> impl Iterator<Item = (&str, &EventRef)> {
    let emitted = manifest.entries.iter().flat_map(|entry| &entry.emits).flat_map(Emission::events);
    emitted.map(|event| (manifest.service.as_str(), event))
}

/// Every reaction handles each of its events once, or has given up on it.
pub(super) fn handled_once(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("an event is handled once by each reaction");
    for manifest in facts.manifests() {
        let service = manifest.service.as_str();
        for reaction in &manifest.reactions {
            let wanted = facts.published.values().map(|it| &it.event).filter(|it| reaction.on.contains(&it.event));
            for event in wanted {
                let times = facts.handled.get(&(service, reaction.name.as_str(), event.id)).map_or(0, Vec::len);
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
        for (at, (first, place)) in events.iter().enumerate() {
            let later = events[at + 1..]
                .iter()
                .filter(|(second, _)| first.commit == second.commit || first.commit.1 < second.ended_before);
            let overtook = later.filter(|(_, other)| other < place).map(|(second, _)| {
                about(second.event, &format!("was committed after {} and published before it", first.event.event))
            });
            looking.found(overtook);
        }
    }
    looking.law()
}

/// What is to be done is done: nothing is unsent, no undo waits, no timer is over-due or left of a saga that has ended.
pub(super) fn nothing_waits(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("nothing is left to be done");
    for ((service, _), row) in &facts.waiting {
        looking.found(left(facts, service, row));
    }
    looking.looked_at = facts.waited;
    looking.law()
}

fn left(facts: &Facts<'_>, service: &str, row: &Row) -> Option<Violation> {
    match row {
        Row::Unsent { seq } => Some(Violation::overall(format!("the outbox of {service} has not sent its row {seq}"))),
        Row::DeadLetter { id, reaction, .. } => {
            Some(Violation::overall(format!("the dead letter {id} of {service}/{reaction} is not published")))
        }
        Row::Waiting { reaction, saga, .. } => {
            Some(Violation::of(*saga, format!("{service}/{reaction} still waits for its step")))
        }
        Row::Timer { saga, event, due_at, .. } => {
            let manifest = facts.declared.get(service).map(|declared| &declared.manifest)?;
            let cancelled = manifest.cancelled_by_outcome().contains(event.as_str())
                && facts.outcomes.get(saga).is_some_and(|outcomes| outcomes.iter().any(|(by, _)| *by == service));
            let what = if cancelled { "is left, and its saga has ended" } else { "is over-due" };
            (cancelled || *due_at < facts.now)
                .then(|| Violation::of(*saga, format!("the timer {event} of {service} {what}")))
        }
        Row::Question { saga, entry, .. } => {
            // It expires by a timer, and nobody has to answer it.
            let ended = facts.outcomes.contains_key(saga);
            let expired = || {
                let manifest = facts.declared.get(service).map(|declared| &declared.manifest);
                let entry = manifest.and_then(|it| it.entries.iter().find(|it| it.name == *entry));
                let expiry = entry.and_then(|entry| entry.answers.as_ref()?.expires_with.as_ref());
                let events = facts.of_saga.get(saga).map_or(&[][..], Vec::as_slice);
                expiry.is_none_or(|expiry| events.iter().any(|event| event.event == *expiry))
            };
            (!ended && !expired())
                .then(|| Violation::of(*saga, format!("{service}/{entry} was asked, and not answered")))
        }
        Row::Inbox { .. } | Row::Ledger { .. } | Row::Outbox { .. } | Row::Outcome { .. } => None,
    }
}

pub(super) fn nothing_given_up(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("nothing is given up");
    for letter in &facts.letters {
        let event = letter.event.as_ref().map_or_else(|| "what is no event".to_owned(), |it| it.event.to_string());
        let what = format!("{}/{} gave up on {event}: {}", letter.service, letter.reaction, letter.cause);
        let saga = letter.event.as_ref().map(|event| event.saga);
        looking.found([Violation { invariant: String::new(), saga, what }]);
    }
    looking.law()
}

fn about(event: &Emitted, what: &str) -> Violation {
    Violation::of(event.saga, format!("{} {what}", event.event))
}
