//! The choreography as a page of text.

use crate::{Choreography, Emission, JoinPart, Question, Reaction, graph::Actor, manifest::Emitter};

/// Each service with its entry points and reactions: when they run, and what they emit.
pub(crate) fn map(choreography: &Choreography) -> String {
    let graph = choreography.graph();
    let mut lines: Vec<String> = choreography.sagas().iter().map(saga).collect();
    for manifest in choreography.manifests() {
        lines.push(format!("\n{}", manifest.service));
        if !manifest.outlive_outcome.is_empty() {
            lines.push(format!("  also after the outcome: {}", names(manifest.outlive_outcome.iter(), ", ")));
        }
        let ours = graph.actors.iter().filter(|actor| std::ptr::eq(actor.manifest, manifest));
        lines.extend(ours.flat_map(entry));
    }
    format!("{}\n", lines.join("\n"))
}

fn saga(saga: &crate::Saga) -> String {
    format!(
        "saga {}: starts with {}, completes with {}, aborts with {}, within {:?}",
        saga.name,
        saga.starts_with.as_ref().map_or("nothing", |event| &event.name),
        names(saga.completes_with.iter(), " or "),
        names(saga.aborts_with.iter(), " or "),
        saga.within
    )
}

/// The lines of an entry point or a reaction.
fn entry(actor: &Actor<'_>) -> Vec<String> {
    let mut then: Vec<String> = actor.emits().iter().map(group).collect();
    let mut lines = match actor.emitter {
        Emitter::Entry(entry) => {
            let answers = entry.answers.as_ref().map(question).unwrap_or_default();
            vec![format!("  {}: an entry point{answers}", entry.name)]
        }
        Emitter::Reaction(reaction) => {
            then.extend(reaction.gives_up_with.iter().map(|event| format!("{} if it gives up", event.name)));
            let undoes = reaction.undoes().map(|event| format!(", undoes {}", event.name)).unwrap_or_default();
            let each = if actor.has_items() { ", for each item" } else { "" };
            let effect = if reaction.effect { ", with an effect" } else { "" };
            let first = format!("  {}{undoes}{each}{effect}", reaction.name);
            let mut lines = vec![first, format!("      on {}", on(reaction))];
            if !reaction.after_undo_of.is_empty() {
                lines.push(format!("      after the undo of {}", names(reaction.after_undo_of.iter(), " and ")));
            }
            lines
        }
    };
    if !then.is_empty() {
        lines.push(format!("      ─▶ {}", then.join(", ")));
    }
    lines
}

fn question(Question { asks, expires_with }: &Question) -> String {
    let until = expires_with.as_ref().map(|event| format!(" until {}", event.name)).unwrap_or_default();
    format!(", answers {}{until}", asks.name)
}

/// What a reaction runs on.
fn on(reaction: &Reaction) -> String {
    let part = |part: &JoinPart| if part.events().len() == 1 { part.name() } else { format!("({})", part.name()) };
    match reaction.parts() {
        [] => names(reaction.on.iter(), " or "),
        parts => parts.iter().map(part).collect::<Vec<_>>().join(" and "),
    }
}

fn group(group: &Emission) -> String {
    match group {
        Emission::All(events) => names(events.iter(), " and "),
        Emission::Each(events) => format!("each {}", names(events.iter(), " or else ")),
        Emission::OneOf(events) => names(events.iter(), " or "),
        Emission::Maybe(events) => format!("perhaps {}", names(events.iter(), ", ")),
        Emission::Outcome(events) => format!("decides {}", names(events.iter(), " or ")),
        Emission::Scheduled(events) => format!("later {}", names(events.iter(), " and ")),
    }
}

fn names<'a>(events: impl Iterator<Item = &'a pavane_contract::EventRef>, between: &str) -> String {
    events.map(|event| event.name.as_str()).collect::<Vec<_>>().join(between)
}
