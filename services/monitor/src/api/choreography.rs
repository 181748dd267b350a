//! The choreography: the declarations as a graph, and the traffic.

use axum::{Json, extract::State};
use pavane_choreography::{Choreography, Emission, JoinPart, Manifest, Role};
use pavane_observe::report::Flow;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Monitor;

/// The services' declarations, as a graph.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Graph {
    /// Entry points, reactions and events.
    nodes: Vec<Node>,
    /// What leads to what.
    links: Vec<Link>,
    /// The same for a Mermaid viewer.
    mermaid: String,
    /// What is wrong with it.
    findings: Vec<String>,
}

/// An entry point, a reaction or an event.
#[derive(Debug, Serialize, ToSchema)]
struct Node {
    /// Its id: `<service>/<reaction>`, `<service>:<entry>`, or the event's name.
    id: String,
    /// Which kind it is.
    kind: NodeKind,
    /// Its name.
    name: String,
    /// The service that has or owns it.
    service: String,
    /// Whether it calls something outside its service's database.
    effect: bool,
    /// Whether it runs once for each item of the saga, or undoes a step that does.
    each: bool,
    /// Whether it is a saga's outcome.
    outcome: bool,
}

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum NodeKind {
    /// Where requests come in.
    Entry,
    /// It runs on events.
    Reaction,
    /// It runs when there is an event of each part.
    Join,
    /// It is an undo.
    Undo,
    /// A fact.
    Event,
}

/// A link between two nodes.
#[derive(Debug, Serialize, ToSchema)]
struct Link {
    /// From this node.
    from: String,
    /// To that one.
    to: String,
    /// Its kind.
    kind: LinkKind,
    /// Whether it is for the items of a list: it emits the event of each, or waits for that of every one.
    items: bool,
}

/// The kind of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum LinkKind {
    /// The event makes it run.
    Triggers,
    /// It emits the event.
    Emits,
    /// It emits the event later.
    Schedules,
}

/// Shows the services' declarations, as a graph.
#[utoipa::path(get, path = "/api/choreography", responses((status = 200, body = Graph)))]
pub(super) async fn graph(State(monitor): State<Monitor>) -> Json<Graph> {
    let choreography = monitor.observer.view().await.choreography();
    Json(Graph::of(&choreography))
}

/// Shows the traffic: events per second, and each reaction's lag, work, failures and dead letters.
#[utoipa::path(get, path = "/api/flow", responses((status = 200, body = Flow)))]
pub(super) async fn flow(State(monitor): State<Monitor>) -> Json<Flow> {
    Json(monitor.observer.view().await.flow())
}

impl Graph {
    fn of(choreography: &Choreography) -> Self {
        let mut graph = Self {
            nodes: Vec::new(),
            links: Vec::new(),
            mermaid: choreography.mermaid(),
            findings: choreography.check().iter().map(ToString::to_string).collect(),
        };
        for manifest in choreography.manifests() {
            graph.entries(manifest);
            graph.reactions(manifest);
        }
        let outcomes = choreography.sagas().iter().flat_map(|saga| saga.completes_with.iter().chain(&saga.aborts_with));
        for outcome in outcomes {
            if let Some(node) = graph.nodes.iter_mut().find(|node| node.id == outcome.name) {
                node.outcome = true;
            }
        }
        graph
    }

    fn entries(&mut self, manifest: &Manifest) {
        for entry in &manifest.entries {
            let id = self.actor(manifest, &entry.name, NodeKind::Entry, false);
            self.emissions(&id, &entry.emits);
        }
    }

    fn reactions(&mut self, manifest: &Manifest) {
        for reaction in &manifest.reactions {
            let kind = match reaction.role {
                Role::Undo { .. } => NodeKind::Undo,
                Role::Join { .. } => NodeKind::Join,
                Role::React | Role::Each | _ => NodeKind::Reaction,
            };
            let id = self.actor(manifest, &reaction.name, kind, reaction.effect);
            if let Some(node) = self.nodes.last_mut() {
                node.each = manifest.has_items(reaction);
            }
            for event in &reaction.on {
                self.event(&event.name);
                let items =
                    reaction.parts().iter().any(|part| matches!(part, JoinPart::Every(every) if every == event));
                self.links.push(Link { from: event.name.clone(), to: id.clone(), kind: LinkKind::Triggers, items });
            }
            self.emissions(&id, &reaction.emits);
            if let Some(event) = &reaction.gives_up_with {
                self.link(&id, &event.name, LinkKind::Emits, false);
            }
        }
    }

    fn emissions(&mut self, id: &str, emissions: &[Emission]) {
        for emission in emissions {
            let kind = if matches!(emission, Emission::Scheduled(_)) { LinkKind::Schedules } else { LinkKind::Emits };
            for (at, event) in emission.events().iter().enumerate() {
                // The second is emitted where there is no item.
                self.link(id, &event.name, kind, at == 0 && matches!(emission, Emission::Each(_)));
            }
        }
    }

    fn link(&mut self, from: &str, event: &str, kind: LinkKind, items: bool) {
        self.event(event);
        if !self.links.iter().any(|link| link.from == from && link.to == event) {
            self.links.push(Link { from: from.to_owned(), to: event.to_owned(), kind, items });
        }
    }

    fn actor(&mut self, manifest: &Manifest, name: &str, kind: NodeKind, effect: bool) -> String {
        // An entry point and a reaction may share a name.
        let mark = if kind == NodeKind::Entry { ':' } else { '/' };
        let id = format!("{}{mark}{name}", manifest.service);
        let (name, service) = (name.to_owned(), manifest.service.clone());
        self.nodes.push(Node { id: id.clone(), kind, name, service, effect, each: false, outcome: false });
        id
    }

    fn event(&mut self, name: &str) {
        if self.nodes.iter().all(|node| node.id != name) {
            let service = name.split('.').next().unwrap_or_default().to_owned();
            let (id, name) = (name.to_owned(), name.to_owned());
            self.nodes.push(Node {
                id,
                kind: NodeKind::Event,
                name,
                service,
                effect: false,
                each: false,
                outcome: false,
            });
        }
    }
}
