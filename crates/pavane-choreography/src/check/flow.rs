//! Checks of a saga's flow: what waits for what, what ends the wait, who decides.

use std::collections::BTreeSet;

use pavane_contract::EventRef;

use super::{Finding, Rule, Subject, pivot};
use crate::{Emission, Saga, graph::Actor};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = cycles(subject);
    findings.extend(one_outcome(subject));
    for saga in subject.sagas {
        findings.extend(unused_successes(subject, saga));
        findings.extend(no_deadline(subject, saga));
        findings.extend(outcomes(subject, saga));
    }
    findings
}

/// A step and a join run once in a saga, so does an undo, and an outcome is decided once: a cycle through any of them ends.
fn cycles(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for actor in subject.graph.actors.iter().copied() {
        for event in repeatable(actor) {
            let Some(way) = subject.graph.way(event, |reached| reached == event, repeatable) else { continue };
            // Each event of the cycle finds the same cycle.
            if seen.insert(way.iter().cloned().collect::<BTreeSet<_>>()) {
                let mend = "give a reaction on it an undo or an outcome, which run once in a saga, or break the cycle";
                findings.push(Finding::new(Rule::Cycle, mend).at(actor).event(event).path(way));
            }
        }
    }
    findings
}

/// What an actor emits each time that it runs, however often.
fn repeatable(actor: Actor<'_>) -> Vec<&EventRef> {
    if !actor.is_forward() || actor.has_undo() || actor.is_join() {
        return Vec::new();
    }
    let groups = actor.emits().iter().filter(|group| !matches!(group, Emission::Outcome(_)));
    let gives_up_with = actor.reaction().and_then(|reaction| reaction.gives_up_with.as_ref());
    groups.flat_map(Emission::events).chain(gives_up_with).collect()
}

/// The saga's completion must follow from each step that can be undone, or it could complete before the step is done.
fn unused_successes(subject: &Subject<'_>, saga: &Saga) -> Vec<Finding> {
    let unused = |actor: &Actor<'_>| {
        let done = subject.graph.done_events(saga, *actor);
        let unused =
            |event: &&EventRef| !subject.graph.leads_to(event, &saga.completes_with) && !saga.terminal.contains(event);
        let event = done.into_iter().find(unused)?;
        let path = subject.graph.way_from_start(saga, event);
        // A step of another saga is checked there.
        let ours = !path.is_empty();
        let completes = saga.completes_with.first().map_or("a completing outcome", |event| event.name.as_str());
        let mend = if pivot::comes_after(&subject.graph, saga, *actor) {
            format!("declare it terminal: it comes after {completes}, which can't wait for it")
        } else {
            format!("let a reaction that leads to {completes} consume it, or declare it terminal")
        };
        ours.then(|| Finding::new(Rule::UnusedSuccess, mend).saga(saga).at(*actor).event(event).path(path))
    };
    subject.graph.actors.iter().filter_map(unused).collect()
}

/// An entry point that starts a wait for other services must also schedule what ends it. One finding per saga: the first wait.
fn no_deadline(subject: &Subject<'_>, saga: &Saga) -> Option<Finding> {
    let graph = &subject.graph;
    let ends: Vec<EventRef> = saga.ends().cloned().collect();
    let arms = |actor: &Actor<'_>| {
        let scheduled = actor.emits().iter().filter(|group| matches!(group, Emission::Scheduled(_)));
        scheduled.flat_map(Emission::events).any(|event| graph.leads_to(event, &ends))
    };
    let start = saga.starts_with.as_ref()?;
    let entry = graph.emitters(start).find(|actor| actor.reaction().is_none() && !arms(actor))?;
    let waits = graph.consumers(start).find(|actor| actor.answers().any(|event| graph.leads_to(event, &ends)))?;
    let path = vec![entry.label(), start.name.clone(), waits.label()];
    let mend = format!(
        "schedule an event in {} that leads to {}, due within {:?}",
        entry.label(),
        saga.aborts_with.first().map_or("an end of the saga", |event| event.name.as_str()),
        saga.within
    );
    Some(Finding::new(Rule::NoDeadline, mend).saga(saga).at(entry).event(start).path(path))
}

/// If a saga can fail as well as succeed, one service decides which, and each end is one of its outcomes.
fn outcomes(subject: &Subject<'_>, saga: &Saga) -> Vec<Finding> {
    if saga.aborts_with.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut deciders = BTreeSet::new();
    for end in saga.ends() {
        for actor in subject.graph.emitters(end) {
            deciders.insert(actor.service());
            if actor.emits().iter().any(|group| group.events().contains(end) && !matches!(group, Emission::Outcome(_)))
            {
                let mend = "emit it as an outcome, so that the saga can't end both ways";
                findings.push(Finding::new(Rule::NotDecided, mend).saga(saga).at(actor).event(end));
            }
            if let Some(other) = deciders.iter().find(|other| **other != actor.service()) {
                let mend =
                    format!("decide in one service: {other} decides it too, and they can't see each other's outcome");
                findings.push(Finding::new(Rule::TwoDeciders, mend).saga(saga).at(actor).event(end));
            }
        }
    }
    findings
}

/// A choice of one isn't a choice: the saga could still end the other way beside it.
fn one_outcome(subject: &Subject<'_>) -> Vec<Finding> {
    let decides = |actor: &Actor<'_>| actor.emits().iter().any(|group| matches!(group, Emission::Outcome(_)));
    let outcomes = |service: &str| -> BTreeSet<&EventRef> {
        let ours = subject.graph.actors.iter().filter(|actor| actor.service() == service);
        let groups = ours.flat_map(Actor::emits).filter(|group| matches!(group, Emission::Outcome(_)));
        groups.flat_map(Emission::events).collect()
    };
    let finding = |actor: &Actor<'_>| {
        let [event] = outcomes(actor.service()).into_iter().collect::<Vec<_>>()[..] else { return None };
        let mend = "decide the other outcome in the same service too, or emit the event without an outcome";
        Some(Finding::new(Rule::OneOutcome, mend).at(*actor).event(event).path(subject.way_to(event)))
    };
    subject.graph.actors.iter().filter(|actor| decides(actor)).filter_map(finding).collect()
}
