//! The graph of the choreography: services with their reactions, and the events between them.

use std::{collections::BTreeSet, iter};

use pavane_contract::EventRef;

use crate::{
    Choreography, Emission, JoinPart, Question, Reaction,
    graph::{Actor, Graph},
};

/// An arrow from an event to a reaction that runs on it, or from a reaction or an entry point to an event that it emits.
struct Arrow {
    from: String,
    to: String,
    /// The text beside the arrow; it also decides whether the arrow is dashed.
    label: &'static str,
    dashed: bool,
}

/// The graph for Mermaid.
pub(crate) fn mermaid(choreography: &Choreography) -> String {
    let graph = choreography.graph();
    let mut lines = vec!["flowchart LR".to_owned()];
    for manifest in choreography.manifests() {
        lines.push(format!("    subgraph {}[\"{}\"]", id("service", &manifest.service), manifest.service));
        for actor in ours(&graph, &manifest.service) {
            let (open, close) = if actor.reaction().is_none() { ("([", "])") } else { ("[", "]") };
            lines.push(format!("        {}{open}\"{}\"{close}", node(actor), name(actor)));
        }
        lines.push("    end".to_owned());
    }
    let events = events(&graph);
    lines.extend(events.iter().map(|event| format!("    {}{{{{\"{}\"}}}}", event_id(event), event.name)));
    for Arrow { from, to, label, dashed } in arrows(&graph) {
        let line = if dashed { "-.->" } else { "-->" };
        let label = if label.is_empty() { String::new() } else { format!("|{label}|") };
        lines.push(format!("    {from} {line}{label} {to}"));
    }
    let undos: Vec<_> = graph.actors.iter().filter(|actor| undoes(actor)).map(node).collect();
    if !undos.is_empty() {
        lines.push("    classDef undo stroke-dasharray: 5 5".to_owned());
        lines.push(format!("    class {} undo", undos.join(",")));
    }
    format!("{}\n", lines.join("\n"))
}

/// The graph for Graphviz.
pub(crate) fn dot(choreography: &Choreography) -> String {
    let graph = choreography.graph();
    let mut lines = vec![
        "digraph choreography {".to_owned(),
        "    rankdir=LR".to_owned(),
        "    node [fontname=\"Helvetica\"]".to_owned(),
    ];
    for manifest in choreography.manifests() {
        lines.push(format!("    subgraph \"cluster_{}\" {{", manifest.service));
        lines.push(format!("        label=\"{}\"", manifest.service));
        for actor in ours(&graph, &manifest.service) {
            let shape = if actor.reaction().is_none() { "oval" } else { "box" };
            let style = if undoes(actor) { " style=dashed" } else { "" };
            lines.push(format!("        {} [label=\"{}\" shape={shape}{style}]", node(actor), name(actor)));
        }
        lines.push("    }".to_owned());
    }
    let events = events(&graph);
    lines
        .extend(events.iter().map(|event| format!("    {} [label=\"{}\" shape=hexagon]", event_id(event), event.name)));
    for Arrow { from, to, label, dashed } in arrows(&graph) {
        let style = if dashed { "dashed" } else { "solid" };
        lines.push(format!("    {from} -> {to} [label=\"{label}\" style={style}]"));
    }
    lines.push("}".to_owned());
    format!("{}\n", lines.join("\n"))
}

fn arrows(graph: &Graph<'_>) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for actor in &graph.actors {
        let reaction = actor.reaction();
        for event in reaction.into_iter().flat_map(|reaction| &reaction.on) {
            let label = reaction.map(|reaction| joined(reaction, event)).unwrap_or_default();
            arrows.push(Arrow { from: event_id(event), to: node(actor), label, dashed: undoes(actor) });
        }
        if let Some(Question { asks, expires_with }) = actor.question() {
            arrows.push(Arrow { from: event_id(asks), to: node(actor), label: "asks", dashed: false });
            let until = expires_with.iter();
            arrows.extend(until.map(|event| Arrow {
                from: event_id(event),
                to: node(actor),
                label: "too late",
                dashed: true,
            }));
        }
        for (label, group) in actor.emits().iter().map(|group| (word(group), group)) {
            for (at, event) in group.events().iter().enumerate() {
                let label = if label == EACH && at > 0 { "if none" } else { label };
                arrows.push(Arrow { from: node(actor), to: event_id(event), label, dashed: label == LATER });
            }
        }
        // Often the same event as one of its answers: one arrow is enough.
        let gives_up_with = reaction.and_then(|reaction| reaction.gives_up_with.as_ref());
        if let Some(event) = gives_up_with
            && actor.answers().all(|answer| answer != event)
        {
            arrows.push(Arrow { from: node(actor), to: event_id(event), label: "gives up", dashed: true });
        }
    }
    arrows
}

/// How an event belongs to a join: of every item, beside others, or as one of several.
fn joined(reaction: &Reaction, event: &EventRef) -> &'static str {
    match reaction.parts().iter().find(|part| part.events().contains(event)) {
        None => "",
        Some(JoinPart::Every(_)) => "every",
        Some(part) if part.events().len() == 1 => "and",
        Some(_) => "and one of",
    }
}

const LATER: &str = "later";
const EACH: &str = "each";

fn word(group: &Emission) -> &'static str {
    match group {
        Emission::All(_) => "",
        Emission::OneOf(events) if events.len() == 1 => "",
        Emission::OneOf(_) => "or",
        Emission::Each(_) => EACH,
        Emission::Maybe(_) => "perhaps",
        Emission::Outcome(_) => "decides",
        Emission::Scheduled(_) => LATER,
    }
}

fn ours<'g, 'a>(graph: &'g Graph<'a>, service: &'g str) -> impl Iterator<Item = &'g Actor<'a>> {
    graph.actors.iter().filter(move |actor| actor.service() == service)
}

fn events<'a>(graph: &Graph<'a>) -> BTreeSet<&'a EventRef> {
    let mut events = graph.emitted();
    events.extend(graph.reactions().flat_map(|(_, reaction)| &reaction.on));
    events.extend(graph.questions().flat_map(|(_, question)| iter::once(&question.asks).chain(&question.expires_with)));
    events
}

fn undoes(actor: &Actor<'_>) -> bool {
    actor.reaction().is_some_and(|reaction| reaction.undoes().is_some())
}

fn name(actor: &Actor<'_>) -> String {
    let each = if actor.has_items() { ", for each item" } else { "" };
    format!("{}{each}", actor.name())
}

fn node(actor: &Actor<'_>) -> String {
    let kind = if actor.reaction().is_none() { "entry" } else { "reaction" };
    id(kind, &actor.label())
}

fn event_id(event: &EventRef) -> String {
    id("event", &format!("{}_{}", event.name, event.version))
}

/// An identifier that both languages accept.
fn id(kind: &str, name: &str) -> String {
    let safe = |char: char| if char.is_ascii_alphanumeric() { char } else { '_' };
    format!("{kind}_{}", name.chars().map(safe).collect::<String>())
}
