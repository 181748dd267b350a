//! Steps and their undos: each needs the other.

use pavane_contract::EventRef;

use super::{Finding, Rule, Subject};
use crate::{
    Emission, Reaction, Saga,
    graph::{Actor, Way},
    manifest::Emitter,
};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings: Vec<_> = subject.sagas.iter().flat_map(|saga| missing_undos(subject, saga)).collect();
    for (actor, reaction) in subject.graph.reactions() {
        if let Some(undoes) = reaction.undoes() {
            findings.extend(its_step(subject, actor, undoes));
        }
        findings.extend(after_nothing(actor, reaction));
        findings.extend(in_circle(actor, reaction));
        findings.extend(gives_up(actor, reaction));
    }
    findings.extend(subject.graph.actors.iter().filter_map(|actor| two_undos(*actor)));
    findings
}

/// A step that other reactions follow must be undone by its own service if the saga can fail after it.
fn missing_undos(subject: &Subject<'_>, saga: &Saga) -> Vec<Finding> {
    let steps = subject.graph.actors.iter().filter(|actor| !actor.has_undo());
    let finding = |actor: &Actor<'_>| {
        let done = subject.graph.done_events(saga, *actor).into_iter().next()?;
        let failure = way_to_failure(subject, saga, done)?;
        let path = join(subject.graph.way_from_start(saga, done), failure);
        let mend = format!(
            "add an undo to {}, triggered by {}, or declare without_undo::<…>() if {} leaves nothing behind",
            actor.service(),
            names(&saga.aborts_with),
            done.name
        );
        Some(Finding::new(Rule::MissingUndo, mend).saga(saga).at(*actor).event(done).path(path))
    };
    steps.filter_map(finding).collect()
}

/// How the saga can abort once `done` has happened: by what follows from it, or by an entry point or a deadline, at any time.
fn way_to_failure(subject: &Subject<'_>, saga: &Saga, done: &EventRef) -> Option<Way> {
    let graph = &subject.graph;
    let aborts = |event: &EventRef| saga.aborts_with.contains(event);
    let from = |event: &EventRef| {
        if aborts(event) { Some(vec![event.name.clone()]) } else { graph.any_way(event, aborts) }
    };
    let follows = from(done).map(|way| way.into_iter().skip(1).collect());
    let any_time = || {
        let entries = graph.actors.iter().filter(|actor| actor.reaction().is_none());
        let entries = entries.flat_map(Actor::answers).filter(|event| saga.starts_with.as_ref() != Some(event));
        let scheduled =
            graph.actors.iter().flat_map(Actor::emits).filter(|group| matches!(group, Emission::Scheduled(_)));
        let mut way = entries.chain(scheduled.flat_map(Emission::events)).find_map(from)?;
        way[0] = format!("{}, at any time", way[0]);
        Some(way)
    };
    follows.or_else(any_time)
}

fn join(mut way: Way, then: Way) -> Way {
    way.extend(then);
    way
}

/// Exactly one forward reaction or entry point of the service emits the event of an undo.
fn its_step(subject: &Subject<'_>, undo: Actor<'_>, undoes: &EventRef) -> Option<Finding> {
    let steps = subject.graph.actors.iter().filter(|step| step.service() == undo.service() && !step.is_undo());
    let finding =
        |rule, mend: String| Some(Finding::new(rule, mend).at(undo).event(undoes).path(subject.way_to(undoes)));
    let steps: Vec<_> = steps.filter(|step| step.answers().any(|event| event == undoes)).map(Actor::name).collect();
    match steps[..] {
        [] => finding(Rule::UndoOfNothing, format!("undo an event that {} emits, or remove the undo", undo.service())),
        [_] => None,
        _ => finding(Rule::AmbiguousUndo, format!("let only one step emit it, not {}", steps.join(" and "))),
    }
}

/// The ledger keeps one state per step, and one event to undo.
fn two_undos(actor: Actor<'_>) -> Option<Finding> {
    let reactions = actor.manifest.reactions.iter().filter(|_| !actor.is_undo());
    let emits = |undone: &EventRef| actor.answers().any(|event| event == undone);
    let undos = reactions.filter(|undo| undo.undoes().is_some_and(emits));
    let names: Vec<&str> = undos.map(|undo| undo.name.as_str()).collect();
    let mend = format!("let one reaction undo it, not {}, or split the step", names.join(" and "));
    (names.len() > 1).then(|| Finding::new(Rule::AmbiguousUndo, mend).at(actor))
}

/// An undo waits for other undos of its service.
fn after_nothing(actor: Actor<'_>, undo: &Reaction) -> Option<Finding> {
    let its_own = |step: &Emitter<'_>| actor.manifest.step_of(undo).is_some_and(|own| own.name() == step.name());
    let waits_for = |event: &&EventRef| actor.manifest.step_that_emits(event).filter(|step| !its_own(step));
    let event = undo.after_undo_of.iter().find(|event| undo.undoes().is_none() || waits_for(event).is_none())?;
    let mend = match undo.undoes() {
        Some(_) => {
            format!("name an event of another step that {} undoes, or leave .after_undo_of::<…>() out", actor.service())
        }
        None => "leave .after_undo_of::<…>() out: only an undo can wait for another".to_owned(),
    };
    Some(Finding::new(Rule::AfterNothing, mend).at(actor).event(event))
}

/// Each of them waits for the next one. Told of the first by name.
fn in_circle(actor: Actor<'_>, undo: &Reaction) -> Option<Finding> {
    let manifest = actor.manifest;
    let waits_for_it = |other: &&Reaction| manifest.undos_before(other).iter().any(|before| before.name == undo.name);
    let circle = manifest.undos_before(undo).into_iter().filter(waits_for_it);
    let mut circle: Vec<&str> = circle.map(|undo| undo.name.as_str()).collect();
    circle.sort_unstable();
    // An undo that waits for itself was told of already.
    let is_first = circle.len() > 1 && circle[0] == undo.name;
    let mend = format!("leave .after_undo_of::<…>() out of one of {}", circle.join(", "));
    is_first.then(|| Finding::new(Rule::UndosInCircle, mend).at(actor))
}

/// A failure event means that nothing happened. Of an effect nobody knows that, and of an undo it would be false.
fn gives_up(actor: Actor<'_>, reaction: &Reaction) -> Option<Finding> {
    let event = reaction.gives_up_with.as_ref()?;
    let mend = "don't give up with an event: the dead letter waits for a person, and the deadline ends the saga";
    let unknown = reaction.effect && actor.has_undo();
    (unknown || reaction.undoes().is_some()).then(|| Finding::new(Rule::CannotGiveUp, mend).at(actor).event(event))
}

fn names(events: &[EventRef]) -> String {
    events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>().join(" or ")
}
