//! Checks of names, owners, emitters and consumers.

use std::collections::BTreeSet;

use pavane_contract::EventRef;

use super::{Finding, Rule, Subject};
use crate::{Emission, Manifest, Reaction, Saga, graph::Actor};

pub(super) fn check(subject: &Subject<'_>, manifests: &[Manifest]) -> Vec<Finding> {
    let mut findings = same_names(manifests);
    findings.extend(foreign_events(subject));
    findings.extend(unconsumed(subject));
    findings.extend(unemitted(subject));
    findings.extend(untriggered(subject));
    findings.extend(empty_emissions(subject));
    findings.extend(declarations(subject));
    findings
}

fn same_names(manifests: &[Manifest]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut services = BTreeSet::new();
    for manifest in manifests {
        if !services.insert(&manifest.service) {
            let mend = "give each service its own name; it is part of consumer names and subjects";
            findings.push(Finding { service: manifest.service.clone(), ..Finding::new(Rule::SameName, mend) });
        }
        findings.extend(manifest.same_name().map(|name| {
            let mend = "give each reaction of a service its own name, and each entry point; durable consumers and the ledger's rows have it";
            Finding { reaction: name.to_owned(), service: manifest.service.clone(), ..Finding::new(Rule::SameName, mend) }
        }));
    }
    findings
}

fn foreign_events(subject: &Subject<'_>) -> Vec<Finding> {
    let foreign = |event: &&EventRef| {
        let emitters = subject.graph.emitters(event).filter(|actor| actor.service() != event.owner());
        let owner = event.owner();
        let mend = format!("let {owner} emit it, which owns the name, or emit an event of the service's own");
        let event = (*event).clone();
        emitters.map(|actor| Finding::new(Rule::ForeignEvent, &mend).at(actor).event(&event)).collect::<Vec<_>>()
    };
    subject.graph.emitted().iter().flat_map(foreign).collect()
}

fn unconsumed(subject: &Subject<'_>) -> Vec<Finding> {
    let terminal = |event: &EventRef| subject.sagas.iter().any(|saga| saga.terminal.contains(event));
    let emitted = subject.graph.emitted();
    let unheard = emitted.iter().filter(|event| subject.graph.consumers(event).next().is_none() && !terminal(event));
    let finding = |event: &&EventRef| {
        let actor = subject.graph.emitters(event).next()?;
        let mend = "let a reaction consume it, stop emitting it, or declare it terminal on the saga";
        Some(Finding::new(Rule::Unconsumed, mend).at(actor).event(event).path(subject.way_to(event)))
    };
    unheard.filter_map(finding).collect()
}

fn unemitted(subject: &Subject<'_>) -> Vec<Finding> {
    let emitted = subject.graph.emitted();
    let waits = subject.graph.reactions().flat_map(|(actor, reaction)| reaction.on.iter().map(move |on| (actor, on)));
    let missing = waits.filter(|(_, event)| !emitted.contains(event));
    missing.map(|(actor, event)| Finding::new(Rule::Unemitted, emit(&emitted, event)).at(actor).event(event)).collect()
}

/// How to get an event emitted that nothing emits.
fn emit(emitted: &BTreeSet<&EventRef>, event: &EventRef) -> String {
    match emitted.iter().find(|other| other.name == event.name) {
        Some(other) => format!("agree on the version: {} is emitted, {} is waited for", other.version, event.version),
        None => format!("let {} emit it, or stop waiting for it", event.owner()),
    }
}

fn untriggered(subject: &Subject<'_>) -> Vec<Finding> {
    let emitted: BTreeSet<EventRef> = subject.graph.emitted().into_iter().cloned().collect();
    let is_idle = |actor: &Actor<'_>, reaction: &Reaction| {
        actor.lacks(&emitted).is_some() || !reaction.on.iter().any(|on| emitted.contains(on))
    };
    let idle = subject.graph.reactions().filter(|(actor, reaction)| is_idle(actor, reaction));
    let finding = |(actor, reaction): (Actor<'_>, &Reaction)| {
        let mend = match (reaction.undoes(), actor.lacks(&emitted)) {
            (Some(undoes), _) => format!("trigger it by the event that says that {} must be undone", undoes.name),
            (None, Some(part)) => format!("let somebody emit {}, or join without it", part.name()),
            (None, None) => "name an event that somebody emits, or remove the reaction".to_owned(),
        };
        let finding = Finding::new(Rule::Untriggered, mend).at(actor);
        match reaction.undoes() {
            Some(undoes) => finding.event(undoes).path(subject.way_to(undoes)),
            None => finding,
        }
    };
    idle.map(finding).collect()
}

fn empty_emissions(subject: &Subject<'_>) -> Vec<Finding> {
    let empty = |emits: &[Emission]| emits.iter().any(|group| group.events().is_empty());
    let actors = subject.graph.actors.iter().filter(|actor| empty(actor.emits()));
    let mend = "name the events of the group, or remove the group if the reaction emits nothing";
    actors.map(|actor| Finding::new(Rule::EmptyEmission, mend).at(*actor)).collect()
}

/// The events that a saga declares must exist.
fn declarations(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.sagas.is_empty() {
        return vec![Finding::new(Rule::NoSaga, "declare what starts, completes and aborts it: Saga::new(…)")];
    }
    subject.sagas.iter().flat_map(|saga| declaration(subject, saga)).collect()
}

fn declaration(subject: &Subject<'_>, saga: &Saga) -> Vec<Finding> {
    let emitted = subject.graph.emitted();
    let mut findings = Vec::new();
    let mut missing = |is: bool, mend: &str| {
        if is {
            findings.push(Finding::new(Rule::IncompleteSaga, mend).saga(saga));
        }
    };
    missing(saga.starts_with.is_none(), "say what starts it: .starts_with::<…>()");
    missing(saga.completes_with.is_empty(), "say what completes it: .completes_with::<…>()");
    missing(saga.within.is_zero(), "say how long it may take: .within(…)");

    let declared = saga.starts_with.iter().chain(saga.ends()).chain(&saga.terminal).chain(&saga.without_undo);
    for event in declared.filter(|event| !emitted.contains(event)) {
        findings.push(Finding::new(Rule::Unemitted, emit(&emitted, event)).saga(saga).event(event));
    }
    if let Some(start) = &saga.starts_with
        && emitted.contains(start)
        && subject.graph.emitters(start).all(|actor| actor.reaction().is_some())
    {
        let mend = "declare the entry point that emits it: where does the saga enter from outside?";
        findings.push(Finding::new(Rule::Unemitted, mend).saga(saga).event(start));
    }
    findings
}
