//! Joins: all of their parts must be able to come in one saga.

use pavane_contract::EventRef;

use super::{Finding, Rule, Subject};
use crate::{
    Emission, JoinPart,
    graph::{Actor, Graph},
};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let exclusive = |(actor, reaction): (Actor<'_>, &crate::Reaction)| {
        let parts = reaction.parts();
        let pairs = (1..).zip(parts).flat_map(|(after, one)| parts.iter().skip(after).map(move |other| (one, other)));
        let (one, other) = pairs.into_iter().find(|(one, other)| exclude(&subject.graph, one, other))?;
        let (one, other) = (one.name(), other.name());
        let mend = format!(
            "make {one} or {other} one part, OneOf<(…)>, or wait for only one of them: at most one of them comes"
        );
        Some(Finding::new(Rule::ExclusiveParts, mend).at(actor))
    };
    subject.graph.reactions().filter_map(exclusive).collect()
}

fn exclude(graph: &Graph<'_>, one: &JoinPart, other: &JoinPart) -> bool {
    let emitted = |part: &'_ JoinPart| -> Vec<EventRef> {
        part.events().iter().filter(|event| graph.emitters(event).next().is_some()).cloned().collect()
    };
    let (one, other) = (emitted(one), emitted(other));
    let both = |first: &EventRef| other.iter().all(|second| alternatives(graph, first, second));
    !one.is_empty() && !other.is_empty() && one.iter().all(both)
}

/// Whether at most one of two events is emitted in a saga: by its only emitter, or as its outcome.
fn alternatives(graph: &Graph<'_>, one: &EventRef, other: &EventRef) -> bool {
    let emitters: Vec<Actor<'_>> = graph.emitters(one).chain(graph.emitters(other)).collect();
    let Some(first) = emitters.first().filter(|_| one != other) else { return false };
    let decides = |actor: &Actor<'_>| {
        let groups = actor.emits().iter().filter(|group| [one, other].iter().any(|it| group.events().contains(it)));
        let mut groups = groups.peekable();
        groups.peek().is_some() && groups.all(|group| matches!(group, Emission::Outcome(_)))
    };
    if emitters.iter().all(|actor| actor.service() == first.service() && decides(actor)) {
        return true;
    }
    let is_one = emitters.iter().all(|actor| actor.label() == first.label());
    is_one && runs_once(first) && answers_by_one(first, one, other)
}

/// Whether an actor runs at most once in a saga, as far as can be said of it alone.
fn runs_once(actor: &Actor<'_>) -> bool {
    actor.has_undo() || actor.is_join() || actor.reaction().is_none_or(|reaction| reaction.on.len() == 1)
}

/// Whether an actor never emits both at once. A failure event comes in place of everything else.
fn answers_by_one(actor: &Actor<'_>, one: &EventRef, other: &EventRef) -> bool {
    let groups = |event: &EventRef| -> Vec<&Emission> {
        actor.emits().iter().filter(|group| group.events().contains(event)).collect()
    };
    match (&groups(one)[..], &groups(other)[..]) {
        ([], _) | (_, []) => true,
        ([this @ (Emission::OneOf(_) | Emission::Each(_) | Emission::Outcome(_))], [that]) => {
            std::ptr::eq(*this, *that)
        }
        _ => false,
    }
}
