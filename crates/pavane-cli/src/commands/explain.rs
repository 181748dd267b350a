//! `pavane explain`: what one event means to the services.

mod tell;

use anyhow::bail;
use clap::Args;
use pavane_choreography::{Choreography, Emission, JoinPart, Manifest, Reaction, Role};
use pavane_contract::EventRef;
use serde::Serialize;

use crate::{
    deployment::Deployment,
    output::{Exit, Output},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The event: `payment.authorized`, or `PaymentAuthorized`.
    event: String,
}

/// All versions of the event that are declared.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Answer {
    events: Vec<Explanation>,
}

/// One event.
#[derive(Debug, Serialize)]
struct Explanation {
    event: String,
    version: u16,
    owner: String,
    /// Its role in the declared sagas: `it starts the saga order`.
    roles: Vec<String>,
    emitted_by: Vec<Emitter>,
    reactions: Vec<Reacts>,
    undone_by: Vec<Undo>,
}

/// An emitter.
#[derive(Debug, Serialize)]
struct Emitter {
    service: String,
    /// The reaction or the entry point.
    name: String,
    entry: bool,
    /// The events on which it emits it, or the parts for all of which it waits; none for an entry point.
    on: Vec<String>,
    /// Whether it runs once for each item, or undoes a step that does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    each: bool,
    /// Whether it waits for all of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    join: bool,
    /// What it emits beside or in place of this event: `or payment.declined`.
    how: String,
}

/// A reaction that runs on it.
#[derive(Debug, Serialize)]
struct Reacts {
    service: String,
    reaction: String,
    /// The event that it undoes, for an undo.
    undoes: Option<String>,
    effect: bool,
    /// Whether it runs once for each item, or undoes a step that does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    each: bool,
    /// Whether it waits for the event of every item.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    every: bool,
    /// For what else it waits, if it is a join.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    with: Vec<String>,
    /// What comes next: each group of events that it may emit, in words.
    then: Vec<String>,
    /// Its failure event.
    gives_up_with: Option<String>,
}

/// The reactions that undo it.
#[derive(Debug, Serialize)]
struct Undo {
    service: String,
    reaction: String,
    /// The step that is undone.
    step: String,
    /// Its triggers.
    when: Vec<Trigger>,
    then: Vec<String>,
    effect: bool,
    /// Whether it undoes each item.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    each: bool,
}

/// Why something is undone.
#[derive(Debug, Serialize)]
struct Trigger {
    event: String,
    /// The sagas that have failed with it.
    fails: Vec<String>,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let choreography = deployment.declared().await?.choreography();
    let known = known(&choreography);
    let called = |event: &&EventRef| plain(&event.name) == plain(&arguments.event);
    let events: Vec<_> = known.iter().filter(called).map(|event| explain(&choreography, event)).collect();
    if events.is_empty() {
        let mut names: Vec<&str> = known.iter().map(|event| event.name.as_str()).collect();
        names.dedup();
        bail!("no service declares the event {:?}; they declare {}", arguments.event, names.join(", "));
    }
    output.answer(&Answer { events })?;
    Ok(Exit::Fine)
}

/// `payment.capture-failed` and `PaymentCaptureFailed` are the same to a person.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Every event that is emitted or runs a reaction.
fn known(choreography: &Choreography) -> Vec<EventRef> {
    let manifests = choreography.manifests().iter();
    let mut events: Vec<EventRef> = manifests
        .flat_map(|manifest| manifest.emitted().chain(manifest.reactions.iter().flat_map(|reaction| &reaction.on)))
        .cloned()
        .collect();
    events.sort();
    events.dedup();
    events
}

fn explain(choreography: &Choreography, event: &EventRef) -> Explanation {
    let manifests = choreography.manifests();
    Explanation {
        event: event.name.clone(),
        version: event.version,
        owner: event.owner().to_owned(),
        roles: roles(choreography, event),
        emitted_by: manifests.iter().flat_map(|manifest| emitters(manifest, event)).collect(),
        reactions: manifests.iter().flat_map(|manifest| reactions(manifest, event)).collect(),
        undone_by: manifests.iter().flat_map(|manifest| undos(choreography, manifest, event)).collect(),
    }
}

fn roles(choreography: &Choreography, event: &EventRef) -> Vec<String> {
    let mut roles = Vec::new();
    for saga in choreography.sagas() {
        let name = &saga.name;
        if saga.starts_with.as_ref() == Some(event) {
            roles.push(format!("it starts the saga {name}"));
        }
        if saga.completes_with.contains(event) {
            roles.push(format!("with it, the saga {name} has succeeded"));
        }
        if saga.aborts_with.contains(event) {
            roles.push(format!("with it, the saga {name} has failed, and what was done is undone"));
        }
        if saga.terminal.contains(event) {
            roles.push(format!("nobody has to react to it in the saga {name}"));
        }
    }
    roles
}

fn emitters<'a>(manifest: &'a Manifest, event: &'a EventRef) -> impl Iterator<Item = Emitter> + 'a {
    let entries = manifest.entries.iter().filter_map(move |entry| {
        let group = entry.emits.iter().find(|group| group.events().contains(event))?;
        Some(Emitter {
            service: manifest.service.clone(),
            name: entry.name.clone(),
            entry: true,
            on: Vec::new(),
            each: false,
            join: false,
            how: how(manifest, group, event),
        })
    });
    let reactions = manifest.reactions.iter().filter_map(move |reaction| {
        let group =
            reaction.emits.iter().find(|group| group.events().contains(event)).map(|group| how(manifest, group, event));
        let gives_up = (reaction.gives_up_with.as_ref() == Some(event)).then(|| "when it gives up".to_owned());
        let how: Vec<String> = group.into_iter().chain(gives_up).collect();
        (!how.is_empty()).then(|| Emitter {
            service: manifest.service.clone(),
            name: reaction.name.clone(),
            entry: false,
            on: if reaction.parts().is_empty() { names(&reaction.on) } else { parts(reaction.parts().iter()) },
            each: manifest.has_items(reaction),
            join: !reaction.parts().is_empty(),
            how: how.into_iter().filter(|how| !how.is_empty()).collect::<Vec<_>>().join(", or "),
        })
    });
    entries.chain(reactions)
}

/// What may be emitted in place of an event, or when it is emitted.
fn how(manifest: &Manifest, group: &Emission, event: &EventRef) -> String {
    let others: Vec<&str> =
        group.events().iter().filter(|other| *other != event).map(|other| other.name.as_str()).collect();
    let or = if others.is_empty() { String::new() } else { format!("or {}", others.join(" or ")) };
    match group {
        Emission::OneOf(_) => or,
        Emission::Each(events) => match events.as_slice() {
            [item, none] if item == event => format!("each of a list, or {} if there is none", none.name),
            [item, _] => format!("if there is no {}", item.name),
            _ => "each of a list".to_owned(),
        },
        Emission::Maybe(_) if or.is_empty() => "or nothing".to_owned(),
        Emission::Maybe(_) => format!("{or} or nothing"),
        Emission::Outcome(_) => format!("as the outcome, if there is none yet {or}").trim_end().to_owned(),
        Emission::Scheduled(_) if manifest.cancelled_by_outcome().contains(&*event.name) => {
            "later, when its time has come, unless the saga has its outcome by then".to_owned()
        }
        Emission::Scheduled(_) => "later, when its time has come".to_owned(),
        Emission::All(_) | _ => String::new(),
    }
}

fn reactions<'a>(manifest: &'a Manifest, event: &'a EventRef) -> impl Iterator<Item = Reacts> + 'a {
    manifest.reactions.iter().filter(|reaction| reaction.on.contains(event)).map(move |reaction| Reacts {
        service: manifest.service.clone(),
        reaction: reaction.name.clone(),
        undoes: reaction.undoes().map(|event| event.name.clone()),
        effect: reaction.effect,
        each: manifest.has_items(reaction),
        every: reaction.parts().iter().any(|part| matches!(part, JoinPart::Every(every) if every == event)),
        with: parts(reaction.parts().iter().filter(|part| !part.events().contains(event))),
        then: then(reaction),
        gives_up_with: reaction.gives_up_with.as_ref().map(|event| event.name.clone()),
    })
}

fn undos<'a>(
    choreography: &'a Choreography,
    manifest: &'a Manifest,
    event: &'a EventRef,
) -> impl Iterator<Item = Undo> + 'a {
    let undoes = move |undo: &&Reaction| matches!(&undo.role, Role::Undo { undoes } if undoes == event);
    manifest.reactions.iter().filter(undoes).map(move |undo| Undo {
        service: manifest.service.clone(),
        reaction: undo.name.clone(),
        step: manifest.step_of(undo).map(|step| step.name().to_owned()).unwrap_or_default(),
        when: undo.on.iter().map(|trigger| why(choreography, trigger)).collect(),
        then: then(undo),
        effect: undo.effect,
        each: manifest.has_items(undo),
    })
}

fn why(choreography: &Choreography, trigger: &EventRef) -> Trigger {
    let failed = choreography.sagas().iter().filter(|saga| saga.aborts_with.contains(trigger));
    Trigger { event: trigger.name.clone(), fails: failed.map(|saga| saga.name.clone()).collect() }
}

/// What a reaction may emit, group by group.
fn then(reaction: &Reaction) -> Vec<String> {
    let group = |group: &Emission| {
        let events = names(group.events());
        match group {
            Emission::OneOf(_) => events.join(" or "),
            Emission::Each(_) => match events.as_slice() {
                [item, none] => format!("each {item}, or {none} if there is none"),
                items => format!("each {}", items.join(" or ")),
            },
            Emission::Maybe(_) => format!("perhaps {}", events.join(" or ")),
            Emission::Outcome(_) => format!("decides {}", events.join(" or ")),
            Emission::Scheduled(_) => format!("later {}", events.join(" and ")),
            Emission::All(_) | _ => events.join(" and "),
        }
    };
    reaction.emits.iter().filter(|emission| !emission.events().is_empty()).map(group).collect()
}

fn parts<'a>(parts: impl Iterator<Item = &'a JoinPart>) -> Vec<String> {
    parts.map(|part| if part.events().len() == 1 { part.name() } else { format!("({})", part.name()) }).collect()
}

fn names(events: &[EventRef]) -> Vec<String> {
    events.iter().map(|event| event.name.clone()).collect()
}
