//! Checks a service's reactions against each other, and assigns each its part in the ledger.

mod wired;

use std::{collections::HashMap, sync::Arc};

use pavane_choreography::{Emission, Manifest, Question, Role, manifest};
use pavane_contract::{EventRef, subject};
use pavane_outbox::{Database, Emissions};
use tokio::sync::Notify;

use crate::reaction::Reaction;
pub(crate) use wired::Part;
pub use wired::Wired;

/// What is wrong with a wiring table. Each reads after "failed to wire the service: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name can't be part of a durable consumer's name and of subjects.
    #[error("{what} {name:?} is not a name: use lower-case letters, digits and '-', at most 64")]
    Name {
        /// What is named so: the service, a reaction, an entry point.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two reactions with one name would share one durable consumer.
    #[error("two reactions are named {0:?}")]
    Twice(String),
    /// An event's name isn't `<owner>.<fact>`.
    #[error("{0} is not an event name: use <owner>.<fact> in lower-case letters, digits, '-' and '_'")]
    EventName(EventRef),
    /// The event belongs to another service.
    #[error("{who} emits {event}, which belongs to {owner:?}: a service emits only its own events")]
    Foreign {
        /// The reaction or entry point.
        who: String,
        /// The event.
        event: EventRef,
        /// The service that owns it.
        owner: String,
    },
    /// One reaction has two handlers for one event.
    #[error("{name:?} has two handlers for {event}")]
    TwoHandlers {
        /// The reaction.
        name: String,
        /// The event.
        event: EventRef,
    },
    /// One event would be two parts of a join.
    #[error("the join {name:?} waits for {event} in two parts: one event can be one part only")]
    TwoParts {
        /// The reaction.
        name: String,
        /// The event.
        event: EventRef,
    },
    /// Not exactly one reaction of this service emits the event that the undo is for.
    #[error("the undo {undo:?} undoes {event}, which {steps} of this service's reactions emit: it must be exactly one")]
    NoStep {
        /// The undo.
        undo: String,
        /// The event that it undoes.
        event: EventRef,
        /// How many reactions emit it.
        steps: usize,
    },
    /// An event that a step schedules is not kept for its undo.
    #[error(
        "the step {step:?} schedules {event}, which the undo {undo:?} is for: only what a step emits at once is kept \
         for its undo. Emit it with .emits::<…>(), or from a reaction that runs when the time has come"
    )]
    UndoOfScheduled {
        /// The step.
        step: String,
        /// Its undo.
        undo: String,
        /// The event.
        event: EventRef,
    },
    /// A question that the service never asks.
    #[error(
        "the entry point {entry:?} answers {event}, which no other line of this wiring table emits at once: add .emits::<…>() to the \
         reaction or entry point that asks"
    )]
    NeverAsked {
        /// The entry point.
        entry: String,
        /// The event that asks.
        event: EventRef,
    },
    /// A failure event, an outcome and a scheduled event can't be questions.
    #[error(
        "{who:?} names {event} in .{method}, but the entry point {entry:?} answers it, and only .emits, .emits_one_of and .may_emit \
         ask a question: name another event there, and let a reaction to it ask"
    )]
    AskedWrongly {
        /// The reaction or entry point.
        who: String,
        /// The event that asks.
        event: EventRef,
        /// The method of the wiring table that names it.
        method: &'static str,
        /// The entry point that answers.
        entry: String,
    },
    /// A question whose time for an answer would never end.
    #[error(
        "{who:?} emits {event}, which expires with {expiry}, and does not schedule that: add .schedules::<…>() to its line, and call \
         tx.emit_after where it asks"
    )]
    NeverExpires {
        /// The reaction or entry point that asks.
        who: String,
        /// The event that asks.
        event: EventRef,
        /// The event that ends the wait.
        expiry: EventRef,
    },
    /// A question is answered at one entry point, or two people could answer it differently.
    #[error(
        "{event} is answered by two entry points, {first:?} and {second:?}: let one of them emit one of several events"
    )]
    TwoAnswers {
        /// The event that asks.
        event: EventRef,
        /// One of the entry points.
        first: String,
        /// The other.
        second: String,
    },
    /// An answer without an event would close the question, and let the saga wait for ever.
    #[error(
        "the entry point {0:?} answers a question, and may emit nothing: add .emits_one_of::<(…)>() with an event for each answer"
    )]
    NoAnswer(String),
    /// What outlives the outcome is scheduled somewhere.
    #[error(
        "{0} outlives the outcome, but nothing schedules it: add .schedules::<…>() where its timer is set, or leave it out"
    )]
    NeverScheduled(EventRef),
    /// An undo can wait for another undo of its service only.
    #[error(
        "the undo {undo:?} comes after the undo of {event}, but no other step of this service that emits it has an undo: name the \
         event of such a step, or remove .after_undo_of::<…>()"
    )]
    AfterNothing {
        /// The undo that waits.
        undo: String,
        /// The event.
        event: EventRef,
    },
    /// Undos that wait for each other would wait for ever.
    #[error(
        "the undo {0:?} comes after itself, by the .after_undo_of::<…>() of the undos that it waits for: break the circle"
    )]
    UndosInCircle(String),
    /// A step has one ledger row, so it can have one undo.
    #[error("the step {step:?} has two undos, {first:?} and {second:?}")]
    TwoUndos {
        /// The step.
        step: String,
        /// One of its undos.
        first: String,
        /// The other.
        second: String,
    },
    /// An effect that can be undone can't give up: nobody knows whether it happened.
    #[error(
        "{0:?} calls an effect that can be undone, so it can't give up: whether the effect happened is not known. \
         Remove .gives_up_with(…); the event is kept as a dead letter, and the saga's deadline ends the wait"
    )]
    UnknownOutcome(String),
    /// The failure event is made from an event that the reaction doesn't run on.
    #[error("{name:?} gives up on {event}, but has no handler for it")]
    GivesUpOnOther {
        /// The reaction.
        name: String,
        /// The event.
        event: EventRef,
    },
    /// A setting would break a guarantee.
    #[error("{name:?} has {setting} = {value}: use {instead}")]
    Setting {
        /// The reaction.
        name: String,
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What would work.
        instead: &'static str,
    },
}

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
    check_order(manifest)
}

fn check_names(manifest: &Manifest) -> Result<(), Error> {
    let good = |name: &str| {
        (1..=64).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if !good(&manifest.service) {
        return Err(Error::Name { what: "the service", name: manifest.service.clone() });
    }
    for (index, reaction) in manifest.reactions.iter().enumerate() {
        if !good(&reaction.name) {
            return Err(Error::Name { what: "the reaction", name: reaction.name.clone() });
        }
        if manifest.reactions[..index].iter().any(|other| other.name == reaction.name) {
            return Err(Error::Twice(reaction.name.clone()));
        }
    }
    Ok(())
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
        let always = |group: &Emission| matches!(group, Emission::All(_) | Emission::OneOf(_) | Emission::Outcome(_));
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
        let emits = |step: &&pavane_choreography::Reaction| {
            step.is_forward() && step.emits.iter().flat_map(Emission::events).any(|event| event == undoes)
        };
        let steps: Vec<_> = manifest.reactions.iter().filter(emits).collect();
        let [step] = steps[..] else {
            return Err(Error::NoStep { undo: undo.name.clone(), event: undoes.clone(), steps: steps.len() });
        };
        let later = |group: &&Emission| matches!(group, Emission::Scheduled(_));
        if step.emits.iter().filter(later).flat_map(Emission::events).any(|event| event == undoes) {
            let (step, undo, event) = (step.name.clone(), undo.name.clone(), undoes.clone());
            return Err(Error::UndoOfScheduled { step, undo, event });
        }
        if let Some((_, first)) = undone.iter().find(|(other, _)| *other == step.name) {
            let (first, second) = ((*first).to_owned(), undo.name.clone());
            return Err(Error::TwoUndos { step: step.name.clone(), first, second });
        }
        undone.push((&step.name, &undo.name));
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
        let step = manifest.step_that_emits(event).map(|step| step.name.clone());
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
        manifest::Part::Undo { step, .. } => Part::Undo { step: step.name.clone() },
    })
}
