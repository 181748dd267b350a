//! The declared choreography, compiled for quick judgement of a saga's events.

use std::collections::{BTreeMap, HashMap};

use pavane_choreography::{
    Choreography, Declaration, Emission, Manifest, Reaction, ReactionSettings, Saga, manifest::Part,
};
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
    pub(crate) on: Vec<EventRef>,
    /// The groups of which it must emit; a reaction without one need not emit anything.
    pub(crate) must: Vec<Group>,
    pub(crate) emitted: Vec<Kind>,
    pub(crate) gives_up: Option<Kind>,
}

impl Rule {
    pub(crate) fn is_undo(&self) -> bool {
        self.undoes.is_some()
    }

    /// Whether it has a part in the ledger: a step and its undo wait for one another.
    pub(crate) fn is_in_ledger(&self) -> bool {
        self.undo.is_some() || self.undoes.is_some()
    }
}

/// Events of which a reaction emits one.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) awaits: Vec<Kind>,
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

    pub(crate) fn find(&self, service: &str, reaction: &str) -> Option<(RuleId, &Rule)> {
        (0..).zip(&self.reactions).find(|(_, rule)| rule.service == service && rule.reaction == reaction)
    }

    /// The declared saga that an event starts.
    pub(crate) fn started_by(&self, kind: Kind) -> Option<usize> {
        self.sagas.iter().position(|saga| saga.starts == Some(kind))
    }

    fn compile(&mut self) {
        let declarations = std::mem::take(&mut self.declarations);
        self.reactions.clear();
        let mut rules = Vec::new();
        for declaration in declarations.values() {
            let first = rules.len();
            for reaction in &declaration.manifest.reactions {
                rules.push(self.compile_reaction(declaration, reaction, first));
            }
        }
        self.reactions = rules;
        self.sagas.clear();
        for saga in declarations.values().flat_map(|declaration| &declaration.sagas) {
            let saga = self.compile_saga(saga);
            self.sagas.push(saga);
        }
        for event in declarations.values().flat_map(|declaration| declaration.manifest.emitted()) {
            self.kind(event);
        }
        self.declarations = declarations;
        self.on = self.kinds.iter().map(|event| rules_on(&self.reactions, event)).collect();
    }

    /// `first` is the number of the service's first reaction.
    fn compile_reaction(&mut self, declaration: &Declaration, reaction: &Reaction, first: usize) -> Rule {
        let manifest = &declaration.manifest;
        let settings = declaration.settings.reactions.get(&reaction.name);
        let outcomes = self.kinds_of(&outcomes(manifest));
        let numbered = |undo: &Reaction| {
            let position = manifest.reactions.iter().position(|reaction| reaction.name == undo.name).unwrap_or(0);
            RuleId::try_from(first + position).unwrap_or(RuleId::MAX)
        };
        let (undo, undoes) = match manifest.part(reaction) {
            Part::Plain => (None, None),
            Part::Step { undo, .. } => (Some(numbered(undo)), None),
            Part::Undo { undoes, .. } => (None, Some(self.kind(undoes))),
        };
        let mut must = Vec::new();
        for group in &reaction.emits {
            match group {
                Emission::All(events) => {
                    must.extend(events.iter().map(|event| self.group(std::slice::from_ref(event))));
                }
                Emission::OneOf(events) => must.push(self.group(events)),
                Emission::Outcome(events) => {
                    must.push(Group { outcomes: outcomes.clone(), ..self.group(events) });
                }
                // What may be left out can't be waited for.
                Emission::Maybe(_) | Emission::Scheduled(_) | _ => {}
            }
        }
        Rule {
            service: manifest.service.clone(),
            reaction: reaction.name.clone(),
            durable: settings
                .map_or_else(|| format!("{}_{}", manifest.service, reaction.name), |settings| settings.durable.clone()),
            stuck_after_ms: millis(settings.map_or(ReactionSettings::STUCK_AFTER, |settings| settings.stuck_after)),
            effect: reaction.effect,
            undo,
            undoes,
            on: reaction.on.clone(),
            must,
            emitted: reaction.emitted().map(|event| self.kind(event)).collect(),
            gives_up: reaction.gives_up_with.as_ref().map(|event| self.kind(event)),
        }
    }

    fn group(&mut self, events: &[EventRef]) -> Group {
        Group { awaits: self.kinds_of(events), outcomes: Vec::new() }
    }

    fn kinds_of(&mut self, events: &[EventRef]) -> Vec<Kind> {
        events.iter().map(|event| self.kind(event)).collect()
    }

    fn compile_saga(&mut self, saga: &Saga) -> SagaRule {
        SagaRule {
            name: saga.name.clone(),
            starts: saga.starts_with.as_ref().map(|event| self.kind(event)),
            completes: self.kinds_of(&saga.completes_with),
            aborts: self.kinds_of(&saga.aborts_with),
            within_ms: (!saga.within.is_zero()).then(|| millis(saga.within)),
        }
    }
}

/// An undo runs on a trigger of any version: only that it happened matters.
fn rules_on(rules: &[Rule], event: &EventRef) -> Vec<RuleId> {
    let runs = |rule: &Rule| rule.on.iter().any(|on| on == event || (rule.is_undo() && on.name == event.name));
    (0..).zip(rules).filter(|(_, rule)| runs(rule)).map(|(id, _)| id).collect()
}

/// Every outcome of a service: a saga gets one of them.
fn outcomes(manifest: &Manifest) -> Vec<EventRef> {
    let groups = manifest.entries.iter().flat_map(|entry| &entry.emits);
    let groups = groups.chain(manifest.reactions.iter().flat_map(|reaction| &reaction.emits));
    groups.filter(|group| matches!(group, Emission::Outcome(_))).flat_map(Emission::events).cloned().collect()
}

fn overflow() -> EventRef {
    EventRef { name: "too-many.kinds".to_owned(), version: 0 }
}

pub(crate) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
