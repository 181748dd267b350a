//! What is true of every choreography once it has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use pavane::{SagaId, database::Database};
use pavane_choreography::{Emission, Manifest, Question};
use pavane_contract::{EventId, EventRef, RawEnvelope};
use pavane_inbox::dead_letter;
use pavane_outbox::internal::backlog;

use super::{BoxError, Violation, World, store};
use crate::DeadLetter;

/// Everything that isn't as it must be, whatever the services do.
pub(super) async fn violated<DB: Database>(
    world: &World<DB>,
    manifests: &[Manifest],
) -> Result<Vec<Violation>, BoxError> {
    let events: BTreeMap<EventId, RawEnvelope> =
        world.events().into_iter().map(|event| (event.meta.id, event)).collect();
    let mut violations = Vec::new();
    let mut found = |invariant: &str, violation: Violation| {
        violations.push(Violation { invariant: invariant.to_owned(), ..violation });
    };
    for letter in world.given_up().await? {
        found("nothing is given up", about(&letter, &format!("gave up on it: {}", letter.cause)));
    }
    for letter in wrong_letters(world).await? {
        found("nothing is given up", about(&letter, "gave up on what it had handled"));
    }
    for manifest in manifests {
        for violation in left_over(world, manifest).await? {
            found("nothing is left over", violation);
        }
        for violation in unhandled(world, manifest, &events).await? {
            found("no event is lost", violation);
        }
    }
    for violation in second_outcomes(manifests, &events) {
        found("a saga has one outcome", violation);
    }
    for violation in late_answers(manifests, &events) {
        found("a question is answered or expires", violation);
    }
    Ok(violations)
}

fn about(letter: &DeadLetter, what: &str) -> Violation {
    let what = format!("{}/{} {what} ({})", letter.service, letter.reaction, letter.subject);
    let saga = letter.event.as_ref().map(|event| event.meta.cause.saga);
    Violation { invariant: String::new(), saga, what }
}

/// Dead letters about events that had been handled before they failed.
async fn wrong_letters<DB: Database>(world: &World<DB>) -> Result<Vec<DeadLetter>, BoxError> {
    let mut wrong = Vec::new();
    for letter in world.dead_letters() {
        let handled = store::handled(world.db(&letter.service), &letter.reaction).await?;
        let at = letter.event.as_ref().and_then(|event| handled.get(&event.meta.id));
        if at.is_some_and(|at| *at < letter.first_failed_at.as_microsecond()) {
            wrong.push(letter);
        }
    }
    Ok(wrong)
}

/// What a service still has to do.
async fn left_over<DB: Database>(world: &World<DB>, manifest: &Manifest) -> Result<Vec<Violation>, BoxError> {
    let (service, db) = (&manifest.service, world.db(&manifest.service));
    let mut violations = Vec::new();
    let backlog = backlog(db).await?;
    if backlog.unsent + backlog.refused + backlog.scheduled > 0 {
        violations.push(Violation::overall(format!("the outbox of {service} has {backlog:?}")));
    }
    let letters = dead_letter::waiting(db).await?;
    if letters > 0 {
        violations.push(Violation::overall(format!("{letters} dead letters of {service} wait to be published")));
    }
    let sent = store::sent_rows(db).await?;
    match db.clock_trouble() {
        None if sent > 0 => {
            violations
                .push(Violation::overall(format!("the outbox of {service} keeps {sent} rows behind the horizon")));
        }
        Some(trouble) if sent == 0 && world.events().iter().any(|event| event.meta.event.owner() == service) => {
            violations.push(Violation::overall(format!("the outbox of {service} was pruned, although {trouble}")));
        }
        _ => {}
    }
    for reaction in &manifest.reactions {
        let pending = world.bus.pending(&format!("{service}_{}", reaction.name));
        if let Some(pending) = pending.filter(|pending| pending.unsettled + pending.undelivered > 0) {
            violations.push(Violation::overall(format!("{service}/{} has {pending:?}", reaction.name)));
        }
    }
    for (saga, undo) in store::waiting_undos(db).await? {
        violations.push(Violation::of(saga, format!("{service}/{undo} still waits for its step")));
    }
    for (saga, step) in store::running_steps(db).await? {
        violations.push(Violation::of(saga, format!("the step {service}/{step} still runs")));
    }
    Ok(violations)
}

/// Events that a reaction should have handled, and those that a join has handled and doesn't have.
async fn unhandled<DB: Database>(
    world: &World<DB>,
    manifest: &Manifest,
    events: &BTreeMap<EventId, RawEnvelope>,
) -> Result<Vec<Violation>, BoxError> {
    let mut violations = Vec::new();
    // What is a dead letter isn't lost.
    let letters: BTreeSet<_> = world
        .dead_letters()
        .into_iter()
        .filter_map(|letter| Some((letter.service, letter.reaction, letter.event?.meta.id)))
        .collect();
    let is_kept =
        |reaction: &str, event: EventId| letters.contains(&(manifest.service.clone(), reaction.to_owned(), event));
    for reaction in &manifest.reactions {
        let db = world.db(&manifest.service);
        let (handled, parts) = (store::handled(db, &reaction.name).await?, store::parts(db, &reaction.name).await?);
        let wanted = events.values().filter(|event| reaction.on.contains(&event.meta.event));
        // What a join has isn't lost either.
        let has = |event: EventId| handled.contains_key(&event) || parts.contains(&event);
        let lost = wanted.filter(|event| !has(event.meta.id) && !is_kept(&reaction.name, event.meta.id));
        violations.extend(lost.map(|event| {
            let what = format!("{}/{} has not handled {}", manifest.service, reaction.name, event.meta.event);
            Violation::of(event.meta.cause.saga, what)
        }));
        if reaction.parts().is_empty() {
            continue;
        }
        let sagas = store::sagas_of_join(db, &reaction.name).await?;
        let forgotten = handled.keys().filter(|id| !parts.contains(id)).filter_map(|id| events.get(id));
        violations.extend(forgotten.filter(|event| sagas.contains(&event.meta.cause.saga)).map(|event| {
            let what = format!("{}/{} has forgotten {}", manifest.service, reaction.name, event.meta.event);
            Violation::of(event.meta.cause.saga, what)
        }));
    }
    Ok(violations)
}

/// Sagas with more than one outcome event.
fn second_outcomes(manifests: &[Manifest], events: &BTreeMap<EventId, RawEnvelope>) -> Vec<Violation> {
    let entries = manifests.iter().flat_map(|manifest| &manifest.entries).flat_map(|entry| &entry.emits);
    let reactions = manifests.iter().flat_map(|manifest| &manifest.reactions).flat_map(|reaction| &reaction.emits);
    let outcomes: BTreeSet<&EventRef> = entries
        .chain(reactions)
        .filter(|emission| matches!(emission, Emission::Outcome(_)))
        .flat_map(Emission::events)
        .collect();
    let mut decided: BTreeMap<SagaId, &EventRef> = BTreeMap::new();
    let mut violations = Vec::new();
    for event in events.values().filter(|event| outcomes.contains(&event.meta.event)) {
        let saga = event.meta.cause.saga;
        if let Some(first) = decided.insert(saga, &event.meta.event) {
            violations.push(Violation::of(saga, format!("it was decided as {first} and as {}", event.meta.event)));
        }
    }
    violations
}

/// Questions that were answered although they have expired.
fn late_answers(manifests: &[Manifest], events: &BTreeMap<EventId, RawEnvelope>) -> Vec<Violation> {
    let events = || events.values().map(|event| &event.meta);
    let mut violations = Vec::new();
    for entry in manifests.iter().flat_map(|manifest| &manifest.entries) {
        let Some(Question { asks, expires_with: Some(expiry) }) = &entry.answers else { continue };
        let asked: BTreeSet<EventId> = events().filter(|meta| meta.event == *asks).map(|meta| meta.id).collect();
        let expired = events().filter(|meta| meta.event == *expiry);
        let expired: BTreeSet<SagaId> = expired.map(|meta| meta.cause.saga).collect();
        let answers = events().filter(|meta| entry.emits.iter().any(|group| group.events().contains(&meta.event)));
        let answers = answers.filter(|meta| meta.cause.event.is_some_and(|cause| asked.contains(&cause)));
        violations.extend(answers.filter(|answer| expired.contains(&answer.cause.saga)).map(|answer| {
            let what = format!("{asks} has expired, and {} answers it", answer.event);
            Violation::of(answer.cause.saga, what)
        }));
    }
    violations
}
