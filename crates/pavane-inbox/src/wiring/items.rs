//! What a wiring table says of items.

use pavane_choreography::{Emission, Manifest, Role, manifest::Emitter};
use pavane_contract::EventRef;
use pavane_outbox::Database;

use super::Error;
use crate::reaction::Reaction;

/// A list is declared before what stands for an empty one; and what runs for each item emits no list, sets no timer and asks nobody, as
/// a saga has one of each.
pub(super) fn check(manifest: &Manifest) -> Result<(), Error> {
    let entries = manifest.entries.iter().map(|entry| (&entry.name, &entry.emits));
    let reactions = manifest.reactions.iter().map(|reaction| (&reaction.name, &reaction.emits));
    let is_no_list = |group: &Emission| matches!(group, Emission::Each(events) if events.is_empty());
    if let Some((who, _)) = entries.chain(reactions).find(|(_, emits)| emits.iter().any(is_no_list)) {
        return Err(Error::OrIfNone(who.clone()));
    }
    for reaction in manifest.reactions.iter().filter(|reaction| manifest.has_items(reaction)) {
        let asks = |event: &EventRef| {
            manifest.entries.iter().any(|entry| entry.answers.as_ref().is_some_and(|it| it.asks == *event))
        };
        let undone = manifest.undo_of(Emitter::Reaction(reaction)).map(|(_, undoes)| undoes);
        let wrong = reaction.emits.iter().find_map(|group| {
            let method = match group {
                Emission::Each(_) => Some("emits_each"),
                Emission::Scheduled(_) => Some("schedules"),
                // An outcome is about the saga, so its undo would not know of which item.
                Emission::Outcome(events) if undone.is_some_and(|undone| events.contains(undone)) => Some("decides"),
                Emission::All(_) | Emission::OneOf(_) | Emission::Maybe(_) | Emission::Outcome(_) | _ => None,
            };
            let event = group.events().iter().find(|event| method.is_some() || asks(event))?;
            Some((event, method.unwrap_or("emits")))
        });
        if let Some((event, method)) = wrong {
            return Err(Error::PerItem { name: reaction.name.clone(), event: event.clone(), method });
        }
    }
    Ok(())
}

/// An undo takes the item of a step that has items, and nothing else does.
pub(super) fn check_taken<S, DB: Database>(
    manifest: &Manifest,
    name: &str,
    reaction: &Reaction<S, DB>,
) -> Result<(), Error> {
    let Role::Undo { undoes } = &reaction.role else { return Ok(()) };
    match manifest.step_that_emits(undoes) {
        Some(step) if step.is_per_item() != reaction.takes_item => Err(Error::UndoOfItems {
            undo: name.to_owned(),
            step: step.name().to_owned(),
            wanted: if step.is_per_item() { "Each<…>" } else { "&Envelope<…>" },
        }),
        _ => Ok(()),
    }
}
