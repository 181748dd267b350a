//! The declared choreography, compiled for quick judgement of a saga's events.

mod compile;

use std::collections::{BTreeMap, HashMap};

use pavane_choreography::{Choreography, Declaration};
use pavane_contract::EventRef;

/// An event's type as a small number.
pub(crate) type Kind = u16;
/// A reaction as a small number.
pub(crate) type RuleId = u16;

/// Event types beyond this number share one.
const KINDS_MAX: usize = 10_000;

/// What the services declare, and what follows from it.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) declarations: BTreeMap<String, Declaration>,
    pub(crate) reactions: Vec<Rule>,
    pub(crate) sagas: Vec<SagaRule>,
    pub(crate) questions: Vec<QuestionRule>,
    kinds: Vec<EventRef>,
    numbers: HashMap<EventRef, Kind>,
    /// The rules that run on a kind.
    on: Vec<Vec<RuleId>>,
}

/// One reaction.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) service: String,
    pub(crate) reaction: String,
    pub(crate) durable: String,
    pub(crate) stuck_after_ms: i64,
    pub(crate) effect: bool,
    /// What undoes it. `None` unless it is a step.
    pub(crate) undo: Option<RuleId>,
    /// The event of a step that it undoes. `None` unless it is an undo.
    pub(crate) undoes: Option<Kind>,
    /// Whether it runs once for each item of the saga, or undoes a step that does.
    pub(crate) each: bool,
    pub(crate) on: Vec<EventRef>,
    /// The parts of a join. Empty for every other reaction.
    pub(crate) parts: Vec<PartRule>,
    /// The groups of which it must emit; a reaction without one need not emit anything.
    pub(crate) must: Vec<Group>,
    pub(crate) emitted: Vec<Kind>,
    pub(crate) gives_up: Option<Kind>,
}

impl Rule {
    /// Whether it waits for several events.
    pub(crate) fn is_join(&self) -> bool {
        !self.parts.is_empty()
    }

    pub(crate) fn is_undo(&self) -> bool {
        self.undoes.is_some()
    }

    /// Whether it has a part in the ledger: a step and its undo wait for one another.
    pub(crate) fn is_in_ledger(&self) -> bool {
        self.undo.is_some() || self.undoes.is_some()
    }
}

/// What a join waits for, one of several.
#[derive(Debug)]
pub(crate) struct PartRule {
    pub(crate) kinds: Vec<Kind>,
    /// Whether it is there only when there is an event of every item.
    pub(crate) every: bool,
}

/// Events of which a reaction emits one, or a list.
#[derive(Debug)]
pub(crate) struct Group {
    /// Of a list: the event of each item, and what is emitted where there is none.
    pub(crate) awaits: Vec<Kind>,
    pub(crate) list: bool,
    /// An outcome is only emitted while the saga has none: any event of these will do, whatever caused it.
    pub(crate) outcomes: Vec<Kind>,
}

/// A declared saga.
#[derive(Debug)]
pub(crate) struct SagaRule {
    pub(crate) name: String,
    pub(crate) starts: Option<Kind>,
    pub(crate) completes: Vec<Kind>,
    pub(crate) aborts: Vec<Kind>,
    pub(crate) within_ms: Option<i64>,
}

/// A question that a service asks a person.
#[derive(Debug)]
pub(crate) struct QuestionRule {
    pub(crate) service: String,
    /// The entry point that answers.
    pub(crate) entry: String,
    pub(crate) asks: Kind,
    pub(crate) answers: Vec<Kind>,
    pub(crate) expires: Option<Kind>,
    /// Outcomes of the service that close the question, if they come after it. `None`: its time goes on after any outcome.
    pub(crate) closed_by: Option<Vec<Kind>>,
}

impl Rules {
    /// Adds or replaces a declaration. `false` when nothing changed.
    pub(crate) fn declare(&mut self, declaration: Declaration) -> bool {
        let service = declaration.manifest.service.clone();
        if self.declarations.get(&service) == Some(&declaration) {
            return false;
        }
        self.declarations.insert(service, declaration);
        self.compile();
        true
    }

    /// Removes a declaration. `false` when there was none.
    pub(crate) fn withdraw(&mut self, service: &str) -> bool {
        let known = self.declarations.remove(service).is_some();
        if known {
            self.compile();
        }
        known
    }

    pub(crate) fn choreography(&self) -> Choreography {
        let manifests = self.declarations.values().map(|declaration| declaration.manifest.clone());
        let sagas = self.declarations.values().flat_map(|declaration| declaration.sagas.clone());
        sagas.fold(Choreography::of(manifests), Choreography::saga)
    }

    /// The number of an event's type.
    pub(crate) fn kind(&mut self, event: &EventRef) -> Kind {
        if let Some(kind) = self.numbers.get(event) {
            return *kind;
        }
        let event = if self.kinds.len() < KINDS_MAX { event.clone() } else { overflow() };
        if let Some(kind) = self.numbers.get(&event) {
            return *kind;
        }
        let kind = Kind::try_from(self.kinds.len()).unwrap_or(Kind::MAX);
        self.on.push(rules_on(&self.reactions, &event));
        self.numbers.insert(event.clone(), kind);
        self.kinds.push(event);
        kind
    }

    pub(crate) fn event(&self, kind: Kind) -> &EventRef {
        &self.kinds[usize::from(kind)]
    }

    pub(crate) fn name(&self, kind: Kind) -> &str {
        &self.event(kind).name
    }

    pub(crate) fn names(&self, kinds: &[Kind]) -> Vec<String> {
        kinds.iter().map(|kind| self.name(*kind).to_owned()).collect()
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = (Kind, &EventRef)> {
        (0..).zip(&self.kinds)
    }

    /// The reactions that run on a type of event.
    pub(crate) fn on(&self, kind: Kind) -> impl Iterator<Item = (RuleId, &Rule)> {
        self.on[usize::from(kind)].iter().map(|id| (*id, self.rule(*id)))
    }

    pub(crate) fn rule(&self, id: RuleId) -> &Rule {
        &self.reactions[usize::from(id)]
    }

    pub(crate) fn undos(&self) -> impl Iterator<Item = (RuleId, &Rule, Kind)> {
        (0..).zip(&self.reactions).filter_map(|(id, rule)| Some((id, rule, rule.undoes?)))
    }

    pub(crate) fn joins(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        (0..).zip(&self.reactions).filter(|(_, rule)| rule.is_join())
    }

    pub(crate) fn find(&self, service: &str, reaction: &str) -> Option<(RuleId, &Rule)> {
        (0..).zip(&self.reactions).find(|(_, rule)| rule.service == service && rule.reaction == reaction)
    }

    /// The declared saga that an event starts.
    pub(crate) fn started_by(&self, kind: Kind) -> Option<usize> {
        self.sagas.iter().position(|saga| saga.starts == Some(kind))
    }
}

/// An undo runs on a trigger of any version: only that it happened matters.
fn rules_on(rules: &[Rule], event: &EventRef) -> Vec<RuleId> {
    let runs = |rule: &Rule| rule.on.iter().any(|on| on == event || (rule.is_undo() && on.name == event.name));
    (0..).zip(rules).filter(|(_, rule)| runs(rule)).map(|(id, _)| id).collect()
}

fn overflow() -> EventRef {
    EventRef { name: "too-many.kinds".to_owned(), version: 0 }
}

pub(crate) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
