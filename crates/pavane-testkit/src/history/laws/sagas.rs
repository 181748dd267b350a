//! Laws about sagas: how they end, and what stays of their steps.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use pavane::SagaId;
use pavane_choreography::{JoinPart, Manifest, Reaction, manifest::Emitter};
use pavane_contract::EventRef;

use super::Looking;
use crate::{
    Violation,
    history::{
        facts::{Commit, Facts, LedgerKey},
        record::Emitted,
        report::Law,
    },
};

/// It is decided once, wherever, and what is decided is said.
pub(super) fn one_outcome(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("a saga has one outcome");
    let said: HashSet<(Commit<'_>, SagaId, &str)> =
        facts.committed.values().map(|it| (it.commit, it.event.saga, it.event.event.name.as_str())).collect();
    for (saga, outcomes) in &facts.outcomes {
        let mut wrong = Vec::new();
        if outcomes.len() > 1 {
            let decided = outcomes.iter().map(|it| format!("{} by {}", it.event, it.commit.0)).collect::<Vec<_>>();
            wrong.push(format!("it was decided as {}", decided.join(" and as ")));
        }
        let unsaid = outcomes.iter().filter(|it| !said.contains(&(it.commit, *saga, it.event)));
        wrong
            .extend(unsaid.map(|it| format!("{} decided {}, and its commit has no such event", it.commit.0, it.event)));
        looking.found(wrong.into_iter().map(|what| Violation::of(*saga, what)).collect::<Vec<_>>());
    }
    looking.law()
}

/// What was accepted, and what was started.
pub(super) fn ends(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("what is accepted ends");
    let sagas = || facts.declared.values().flat_map(|declared| &declared.sagas);
    let ends: HashSet<&EventRef> =
        sagas().flat_map(|saga| saga.completes_with.iter().chain(&saga.aborts_with)).collect();
    let has_ended = |saga: SagaId| {
        facts.outcomes.contains_key(&saga) || facts.events_of(saga).iter().any(|event| ends.contains(&event.event))
    };
    for answered in facts.answered.iter().filter(|answered| answered.accepted) {
        let Some(saga) = answered.saga else { continue };
        let what = || Violation::of(saga, format!("{} was accepted and has not ended", answered.what));
        looking.found((!has_ended(saga)).then(what));
    }
    let starts: HashSet<&EventRef> = sagas().filter_map(|saga| saga.starts_with.as_ref()).collect();
    for (saga, events) in &facts.of_saga {
        if let Some(event) = events.iter().find(|event| starts.contains(&event.event)) {
            let what = || Violation::of(*saga, format!("{} started it and it has not ended", event.event));
            looking.found((!has_ended(*saga)).then(what));
        }
    }
    looking.law()
}

/// A step that is done stays, unless something happened that its undo waits for; then it is undone, once, and never done again.
pub(super) fn steps(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("a step is kept, or undone once");
    let steps: BTreeMap<(&str, &str), Step<'_>> = facts.manifests().flat_map(steps_of).collect();
    for (key, states) in &facts.ledger {
        let (service, saga, step, item) = *key;
        let of_item = if item.is_empty() { String::new() } else { format!(" of item {item}") };
        let mut wrong: Vec<String> = went_wrong(states).map(str::to_owned).collect();
        if let Some(step) = steps.get(&(service, step)) {
            wrong.extend(step.undone(facts, *key, states));
        }
        let wrong = wrong.into_iter().map(|what| Violation::of(saga, format!("{service}/{step}{of_item} {what}")));
        looking.found(wrong.collect::<Vec<_>>());
    }
    for manifest in facts.manifests() {
        for join in manifest.reactions.iter().filter(|reaction| !reaction.parts().is_empty()) {
            complete(facts, manifest, join, &mut looking);
        }
    }
    looking.law()
}

/// What no row of the ledger may go through.
fn went_wrong(states: &[(&str, i64)]) -> impl Iterator<Item = &'static str> {
    let count = |state: &str| states.iter().filter(|(it, _)| *it == state).count();
    let off = states.iter().position(|(state, _)| matches!(*state, "undone" | "barred"));
    let goes_on = off.is_some_and(|off| states[off..].iter().any(|(state, _)| matches!(*state, "running" | "done")));
    let still_runs = states.last().is_some_and(|(state, _)| *state == "running");
    let wrong = [
        (count("undone") > 1, "was undone twice"),
        (count("done") > 1, "was done twice"),
        (goes_on, "ran after its undo"),
        (still_runs, "still runs"),
    ];
    wrong.into_iter().filter_map(|(is_wrong, what)| is_wrong.then_some(what))
}

/// A step that is undone.
struct Step<'m> {
    step: Emitter<'m>,
    undo: &'m Reaction,
}

fn steps_of(manifest: &Manifest) -> impl Iterator<Item = ((&str, &str), Step<'_>)> {
    let reactions = manifest.reactions.iter().filter(|it| it.is_forward()).map(Emitter::Reaction);
    let emitters = manifest.entries.iter().map(Emitter::Entry).chain(reactions);
    emitters.filter_map(move |step| {
        let (undo, _) = manifest.undo_of(step)?;
        Some(((manifest.service.as_str(), step.name()), Step { step, undo }))
    })
}

impl Step<'_> {
    /// What is wrong with its last state, by what its undo waits for.
    fn undone(&self, facts: &Facts<'_>, (service, saga, ..): LedgerKey<'_>, states: &[(&str, i64)]) -> Option<String> {
        let (last, commit) = *states.last()?;
        let events = facts.events_of(saga);
        let asked = events.iter().find(|event| self.undo.on.contains(&event.event));
        match (asked, last) {
            // It is a dead letter, which another law reports.
            (Some(event), _) if facts.is_given_up(service, &self.undo.name, event.id) => None,
            (Some(_), "undone" | "barred") => None,
            (Some(event), _) => Some(format!("is {last}, although {} asks to undo it", event.event)),
            // It has said no: there is nothing to undo.
            (None, "barred") if self.ran_in(facts, (service, commit)) => None,
            (None, "undone" | "barred") => Some(format!("is {last}, and nothing asked to undo it")),
            (None, _) => None,
        }
    }

    /// Whether the commit handled an event that the step runs on.
    fn ran_in(&self, facts: &Facts<'_>, commit: Commit<'_>) -> bool {
        let on = self.step.reaction().map_or(&[][..], |reaction| &reaction.on);
        let handled = facts.handled_in.get(&commit).map_or(&[][..], Vec::as_slice);
        handled.iter().filter_map(|id| facts.published.get(id)).any(|published| on.contains(&published.event.event))
    }
}

/// A join that has got all its events has run.
fn complete(facts: &Facts<'_>, manifest: &Manifest, join: &Reaction, looking: &mut Looking) {
    let (service, step) = (manifest.service.as_str(), join.name.as_str());
    let gathers = |states: &[(&str, i64)]| states.last().is_some_and(|(state, _)| *state == "gathering");
    let rows =
        facts.ledger.iter().filter(|((of, _, name, item), _)| *of == service && *name == step && item.is_empty());
    for ((_, saga, ..), _) in rows.filter(|(_, states)| gathers(states)) {
        let events = facts.events_of(*saga);
        // It is a dead letter, which another law reports.
        if events.iter().any(|event| facts.is_given_up(service, step, event.id)) {
            continue;
        }
        let wrong = join.parts().iter().all(|part| is_there(part, events));
        let what = || Violation::of(*saga, format!("{service}/{step} has all it waits for, and has not run"));
        looking.found(wrong.then(what));
    }
}

fn is_there(part: &JoinPart, events: &[&Emitted]) -> bool {
    let mut of_part = events.iter().filter(|event| part.events().contains(&event.event));
    if !matches!(part, JoinPart::Every(_)) {
        return of_part.next().is_some();
    }
    let items: BTreeSet<_> = of_part.filter_map(|event| event.item).collect();
    items.first().is_some_and(|(_, count)| items.len() == *count as usize)
}

/// A provider does once what it is asked for under one key.
pub(super) fn effective_once(facts: &Facts<'_>) -> Law {
    let mut looking = Looking::at("a call has its effect once");
    let mut effects: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for called in &facts.called {
        *effects.entry((&called.what, &called.key)).or_default() += usize::from(called.effective);
    }
    for ((what, key), effects) in effects {
        let wrong =
            (effects > 1).then(|| Violation::overall(format!("{what} under the key {key} had {effects} effects")));
        looking.found(wrong);
    }
    looking.law()
}
