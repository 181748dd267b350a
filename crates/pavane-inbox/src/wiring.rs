//! Checks a service's reactions against each other, and assigns each its part in the ledger.

mod error;
mod items;
mod wired;

use std::{collections::HashMap, sync::Arc};

use pavane_choreography::{
    Emission, Manifest, Question, Role,
    manifest::{self, Emitter},
};
use pavane_contract::{EventRef, subject};
use pavane_outbox::{Database, Emissions};
use tokio::sync::Notify;

use crate::reaction::Reaction;
pub use error::Error;
pub(crate) use wired::Part;
pub use wired::Wired;

pub(crate) fn redrive_filter(service: &str, reaction: &str) -> String {
    format!("redrive.{service}.{reaction}.>")
}

/// The name of the durable consumer of a service's reaction.
pub fn durable(service: &str, reaction: &str) -> String {
    format!("{service}_{reaction}")
}

/// Checks the wiring table and assigns each reaction its part.
///
/// # Errors
///
/// The first mistake that is found.
pub fn wire<S: Send + Sync + 'static, DB: Database>(
    manifest: &Manifest,
    reactions: Vec<(String, Reaction<S, DB>)>,
) -> Result<Vec<Wired<S, DB>>, Error> {
    check(manifest)?;
    let letter_kept = Arc::new(Notify::new());
    let mut steps: HashMap<String, Arc<Notify>> = HashMap::new();
    reactions
        .into_iter()
        .map(|(name, reaction)| {
            check_reaction(&name, &reaction)?;
            items::check_taken(manifest, &name, &reaction)?;
            let part = part(manifest, &name)?;
            if reaction.has_effect() && reaction.failure_event.is_some() && matches!(part, Part::Step { .. }) {
                return Err(Error::UnknownOutcome(name));
            }
            let emissions = Emissions::of(manifest, &name, reaction.emits.clone());
            let step = if let Part::Undo { step } = &part { step } else { &name };
            let step_ended = Arc::clone(steps.entry(step.clone()).or_default());
            let (service, letter_kept) = (manifest.service.clone(), Arc::clone(&letter_kept));
            let after = after(manifest, &name, &reaction.after_undo_of)?;
            Ok(Wired { service, name, reaction, part, after, emissions, letter_kept, step_ended })
        })
        .collect()
}

/// Checks what the manifest alone shows.
pub(crate) fn check(manifest: &Manifest) -> Result<(), Error> {
    check_names(manifest)?;
    check_events(manifest)?;
    check_timers(manifest)?;
    check_questions(manifest)?;
    check_undos(manifest)?;
    check_order(manifest)?;
    items::check(manifest)
}

fn check_names(manifest: &Manifest) -> Result<(), Error> {
    let good = |name: &str| {
        (1..=64).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if !good(&manifest.service) {
        return Err(Error::Name { what: "the service", name: manifest.service.clone() });
    }
    if let Some(reaction) = manifest.reactions.iter().find(|reaction| !good(&reaction.name)) {
        return Err(Error::Name { what: "the reaction", name: reaction.name.clone() });
    }
    let twice = manifest.same_name();
    twice.map_or(Ok(()), |name| Err(Error::Twice(name.to_owned())))
}

fn check_events(manifest: &Manifest) -> Result<(), Error> {
    let named = manifest.emitted().chain(manifest.reactions.iter().flat_map(|reaction| &reaction.on));
    if let Some(event) = named.into_iter().find(|event| !subject::is_event_name(&event.name)) {
        return Err(Error::EventName(event.clone()));
    }
    let entries = manifest.entries.iter().map(|entry| (&entry.name, &entry.emits, None));
    let reactions =
        manifest.reactions.iter().map(|reaction| (&reaction.name, &reaction.emits, reaction.gives_up_with.as_ref()));
    for (who, emits, failure_event) in entries.chain(reactions) {
        let foreign = |event: &&EventRef| event.owner() != manifest.service;
        if let Some(event) = emits.iter().flat_map(Emission::events).chain(failure_event).find(foreign) {
            let owner = event.owner().to_owned();
            return Err(Error::Foreign { who: who.clone(), event: event.clone(), owner });
        }
    }
    Ok(())
}

fn check_timers(manifest: &Manifest) -> Result<(), Error> {
    let is_scheduled = |event: &&EventRef| manifest.scheduled().any(|scheduled| scheduled == *event);
    let unknown = manifest.outlive_outcome.iter().find(|event| !is_scheduled(event));
    unknown.map_or(Ok(()), |event| Err(Error::NeverScheduled(event.clone())))
}

fn check_questions(manifest: &Manifest) -> Result<(), Error> {
    let mut answered: Vec<(&EventRef, &str)> = Vec::new();
    for entry in &manifest.entries {
        let Some(Question { asks, expires_with }) = &entry.answers else { continue };
        if let Some((_, first)) = answered.iter().find(|(other, _)| *other == asks) {
            let (first, second) = ((*first).to_owned(), entry.name.clone());
            return Err(Error::TwoAnswers { event: asks.clone(), first, second });
        }
        answered.push((asks, &entry.name));
        let always = |group: &Emission| {
            matches!(group, Emission::All(_) | Emission::Each(_) | Emission::OneOf(_) | Emission::Outcome(_))
        };
        if !entry.emits.iter().any(always) {
            return Err(Error::NoAnswer(entry.name.clone()));
        }
        if let Some((who, method)) = manifest.asked_wrongly(asks) {
            let (who, entry) = (who.to_owned(), entry.name.clone());
            return Err(Error::AskedWrongly { who, event: asks.clone(), method, entry });
        }
        let asking: Vec<_> = asking(manifest, asks).filter(|(who, _)| *who != entry.name).collect();
        if asking.is_empty() {
            return Err(Error::NeverAsked { entry: entry.name.clone(), event: asks.clone() });
        }
        let Some(expiry) = expires_with else { continue };
        let later = |group: &Emission| matches!(group, Emission::Scheduled(events) if events.contains(expiry));
        if let Some((who, _)) = asking.into_iter().find(|(_, emits)| !emits.iter().any(later)) {
            return Err(Error::NeverExpires { who: who.to_owned(), event: asks.clone(), expiry: expiry.clone() });
        }
    }
    Ok(())
}

/// The entry points and reactions that emit an event at once, with all that they emit.
fn asking<'m>(manifest: &'m Manifest, event: &'m EventRef) -> impl Iterator<Item = (&'m str, &'m [Emission])> {
    let entries = manifest.entries.iter().map(|entry| (entry.name.as_str(), &*entry.emits));
    let reactions = manifest.reactions.iter().map(|reaction| (reaction.name.as_str(), &*reaction.emits));
    let now = |group: &Emission| !matches!(group, Emission::Scheduled(_) | Emission::Outcome(_));
    entries
        .chain(reactions)
        .filter(move |(_, emits)| emits.iter().any(|group| now(group) && group.events().contains(event)))
}

fn check_undos(manifest: &Manifest) -> Result<(), Error> {
    let mut undone: Vec<(&str, &str)> = Vec::new();
    for undo in &manifest.reactions {
        let Role::Undo { undoes } = &undo.role else { continue };
        let emits = |step: &Emitter<'_>| step.emits().iter().flat_map(Emission::events).any(|event| event == undoes);
        let forward = manifest.reactions.iter().filter(|step| step.is_forward()).map(Emitter::Reaction);
        let steps: Vec<_> = forward.chain(manifest.entries.iter().map(Emitter::Entry)).filter(emits).collect();
        let [step] = steps[..] else {
            return Err(Error::NoStep { undo: undo.name.clone(), event: undoes.clone(), steps: steps.len() });
        };
        let later = |group: &&Emission| matches!(group, Emission::Scheduled(_));
        if step.emits().iter().filter(later).flat_map(Emission::events).any(|event| event == undoes) {
            let (step, undo, event) = (step.name().to_owned(), undo.name.clone(), undoes.clone());
            return Err(Error::UndoOfScheduled { step, undo, event });
        }
        let is_list = |group: &Emission| matches!(group, Emission::Each(events) if events.first() == Some(undoes));
        if let Emitter::Entry(entry) = step
            && entry.emits.iter().any(is_list)
        {
            let (entry, undo, event) = (entry.name.clone(), undo.name.clone(), undoes.clone());
            return Err(Error::UndoOfList { entry, undo, event });
        }
        if let Some((_, first)) = undone.iter().find(|(other, _)| *other == step.name()) {
            let (first, second) = ((*first).to_owned(), undo.name.clone());
            return Err(Error::TwoUndos { step: step.name().to_owned(), first, second });
        }
        undone.push((step.name(), &undo.name));
    }
    Ok(())
}

/// No undo may wait for itself.
fn check_order(manifest: &Manifest) -> Result<(), Error> {
    let waits_for_itself = |undo: &&pavane_choreography::Reaction| {
        manifest.undos_before(undo).iter().any(|before| before.name == undo.name)
    };
    let undo = manifest.reactions.iter().find(waits_for_itself);
    undo.map_or(Ok(()), |undo| Err(Error::UndosInCircle(undo.name.clone())))
}

fn check_reaction<S: Send + Sync + 'static, DB: Database>(name: &str, reaction: &Reaction<S, DB>) -> Result<(), Error> {
    for (index, (event, _)) in reaction.work.iter().enumerate() {
        if reaction.work[..index].iter().any(|(other, _)| other == event) {
            let (name, event, is_join) = (name.to_owned(), event.clone(), !reaction.parts().is_empty());
            return Err(if is_join { Error::TwoParts { name, event } } else { Error::TwoHandlers { name, event } });
        }
    }
    if let Some(failure_event) = &reaction.failure_event
        && !reaction.work.iter().any(|(event, _)| *event == failure_event.on)
    {
        return Err(Error::GivesUpOnOther { name: name.to_owned(), event: failure_event.on.clone() });
    }
    check_keys(name, reaction)?;
    check_tuning(name, &reaction.tuning)
}

fn check_keys<S, DB: Database>(name: &str, reaction: &Reaction<S, DB>) -> Result<(), Error> {
    let setting = |setting, value: String, instead| {
        let name = name.to_owned();
        Err(Error::Setting { name, setting, value, instead })
    };
    match reaction.key_life {
        Some(life) if life <= reaction.tuning.timeout => setting(
            "key_lives",
            format!("{life:?}"),
            "more than its timeout: a key that is forgotten while a call is under way protects nothing",
        ),
        None if reaction.look_up.is_some() => {
            setting("key_lives", "None".to_owned(), ".key_lives(…) beside .look_up(…): it says from when on to look")
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_tuning(name: &str, tuning: &crate::Tuning) -> Result<(), Error> {
    let setting = |setting, value: &dyn std::fmt::Debug, instead| {
        Err(Error::Setting { name: name.to_owned(), setting, value: format!("{value:?}"), instead })
    };
    if tuning.max_attempts == 0 {
        return setting("max_attempts", &tuning.max_attempts, "1 or more");
    }
    if tuning.batch_max == 0 {
        return setting("batch_max", &tuning.batch_max, "1 or more");
    }
    if tuning.concurrency == Some(0) {
        return setting("concurrency", &tuning.concurrency, "1 or more, or None");
    }
    if tuning.ack_wait < std::time::Duration::from_secs(1) {
        return setting("ack_wait", &tuning.ack_wait, "1 s or more: heartbeats are sent every third of it");
    }
    if tuning.timeout.is_zero() {
        return setting("timeout", &tuning.timeout, "more than 0");
    }
    Ok(())
}

/// The steps whose undo comes before this one.
fn after(manifest: &Manifest, name: &str, events: &[EventRef]) -> Result<Vec<String>, Error> {
    let own = part(manifest, name)?;
    let step = |event: &EventRef| {
        let step = manifest.step_that_emits(event).map(|step| step.name().to_owned());
        let step = step.filter(|step| own != Part::Undo { step: step.clone() });
        step.ok_or_else(|| Error::AfterNothing { undo: name.to_owned(), event: event.clone() })
    };
    events.iter().map(step).collect()
}

fn part(manifest: &Manifest, name: &str) -> Result<Part, Error> {
    let Some(reaction) = manifest.reactions.iter().find(|reaction| reaction.name == name) else {
        return Err(Error::Name { what: "the reaction", name: name.to_owned() });
    };
    Ok(match manifest.part(reaction) {
        manifest::Part::Plain => Part::Plain,
        manifest::Part::Step { keeps, .. } => Part::Step { keeps: keeps.clone() },
        manifest::Part::Undo { step, .. } => Part::Undo { step: step.name().to_owned() },
    })
}
