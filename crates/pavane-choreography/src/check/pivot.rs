//! After its completing outcome a saga can't abort any more: what comes then is retried until it succeeds, and nothing undoes
//! it. Steps of that kind are called retriable, and the last step before them the pivot.
//! See <https://microservices.io/patterns/data/saga.html>.

use pavane_contract::EventRef;

use super::{Finding, Rule, Subject};
use crate::{
    Emission, Reaction, Saga,
    graph::{Actor, Graph},
};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let of = |saga| {
        let after = subject.graph.reactions().filter(move |(actor, _)| comes_after(&subject.graph, saga, *actor));
        after.flat_map(move |(actor, reaction)| {
            [gives_up(saga, actor, reaction), says_no(saga, actor, reaction), never_undone(subject, saga, actor)]
        })
    };
    subject.sagas.iter().flat_map(of).flatten().collect()
}

/// Whether a reaction runs only once the saga has completed. A join does if one of its parts comes only then.
pub(super) fn comes_after(graph: &Graph<'_>, saga: &Saga, actor: Actor<'_>) -> bool {
    let Some(reaction) = actor.reaction() else { return false };
    let enters = |actor: &&Actor<'_>| actor.reaction().is_none() && actor.question().is_none();
    let entries = || graph.actors.iter().filter(enters).flat_map(Actor::emitted);
    let before = graph.reached(entries(), &saga.completes_with);
    let ever = graph.reached(entries().chain(&saga.completes_with), &[]);
    let only_after = |events: &[EventRef]| {
        events.iter().any(|event| ever.contains(event)) && !events.iter().any(|event| before.contains(event))
    };
    if actor.is_join() {
        reaction.parts().iter().any(|part| only_after(part.events()))
    } else {
        only_after(&reaction.on)
    }
}

fn gives_up(saga: &Saga, actor: Actor<'_>, reaction: &Reaction) -> Option<Finding> {
    let event = reaction.gives_up_with.as_ref()?;
    let mend = format!(
        "remove .gives_up_with(…): it is retried, and then kept as a dead letter for a person; or let it run before {}",
        completes(saga)
    );
    Some(Finding::new(Rule::FailsAfterCompletion, mend).saga(saga).at(actor).event(event))
}

/// A step says no when it answers without the event that its undo is for.
fn says_no(saga: &Saga, actor: Actor<'_>, step: &Reaction) -> Option<Finding> {
    let (_, undoes) = actor.manifest.undo_of(actor.emitter)?;
    let no = step.emits.iter().find_map(|group| match group {
        Emission::OneOf(events) if events.contains(undoes) => events.iter().find(|event| *event != undoes),
        Emission::All(_)
        | Emission::Each(_)
        | Emission::OneOf(_)
        | Emission::Maybe(_)
        | Emission::Outcome(_)
        | Emission::Scheduled(_) => None,
    })?;
    let mend = format!(
        "let it succeed always, by trying again as long as it takes; or let it run before {}, where the saga can still abort",
        completes(saga)
    );
    Some(Finding::new(Rule::FailsAfterCompletion, mend).saga(saga).at(actor).event(no))
}

/// An undo that only an aborting outcome triggers never runs: the saga has the other outcome by then.
fn never_undone(subject: &Subject<'_>, saga: &Saga, step: Actor<'_>) -> Option<Finding> {
    let (undo, undoes) = step.manifest.undo_of(step.emitter)?;
    let actor = subject.graph.actors.iter().find(|actor| actor.reaction().is_some_and(|it| std::ptr::eq(it, undo)))?;
    let mend = format!(
        "remove it, or trigger it by an event that can come after {}; {} can't",
        completes(saga),
        undo.on.iter().map(|event| event.name.as_str()).collect::<Vec<_>>().join(" or ")
    );
    let never = undo.on.iter().all(|event| saga.aborts_with.contains(event));
    never.then(|| Finding::new(Rule::NeverUndone, mend).saga(saga).at(*actor).event(undoes))
}

fn completes(saga: &Saga) -> String {
    saga.completes_with.iter().map(|event| event.name.as_str()).collect::<Vec<_>>().join(" or ")
}
