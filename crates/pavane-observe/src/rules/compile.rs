//! Declarations become rules.

use pavane_choreography::{
    Declaration, Emission, Entry, JoinPart, Manifest, Question, Reaction, ReactionSettings, Saga, manifest::Part,
};
use pavane_contract::EventRef;

use super::{Group, Kind, PartRule, QuestionRule, Rule, RuleId, Rules, SagaRule, millis, rules_on};

impl Rules {
    /// Compiles every declaration anew.
    pub(super) fn compile(&mut self) {
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
        self.questions.clear();
        for manifest in declarations.values().map(|declaration| &declaration.manifest) {
            let questions: Vec<_> =
                manifest.entries.iter().filter_map(|entry| self.compile_question(manifest, entry)).collect();
            self.questions.extend(questions);
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
        let (undo, undoes, each) = match manifest.part(reaction) {
            Part::Plain => (None, None, reaction.is_per_item()),
            Part::Step { undo, .. } => (Some(numbered(undo)), None, reaction.is_per_item()),
            Part::Undo { step, undoes } => (None, Some(self.kind(undoes)), step.is_per_item()),
        };
        Rule {
            service: manifest.service.clone(),
            reaction: reaction.name.clone(),
            durable: settings
                .map_or_else(|| format!("{}_{}", manifest.service, reaction.name), |settings| settings.durable.clone()),
            stuck_after_ms: millis(settings.map_or(ReactionSettings::STUCK_AFTER, |settings| settings.stuck_after)),
            effect: reaction.effect,
            undo,
            undoes,
            each,
            on: reaction.on.clone(),
            parts: reaction.parts().iter().map(|part| self.part(part)).collect(),
            must: self.must(reaction, &outcomes),
            emitted: reaction.emitted().map(|event| self.kind(event)).collect(),
            gives_up: reaction.gives_up_with.as_ref().map(|event| self.kind(event)),
        }
    }

    fn compile_question(&mut self, manifest: &Manifest, entry: &Entry) -> Option<QuestionRule> {
        let Question { asks, expires_with } = entry.answers.as_ref()?;
        let outlives = expires_with.as_ref().is_some_and(|expiry| manifest.outlive_outcome.contains(expiry));
        let answers = entry.emits.iter().filter(|group| !matches!(group, Emission::Scheduled(_)));
        Some(QuestionRule {
            service: manifest.service.clone(),
            entry: entry.name.clone(),
            asks: self.kind(asks),
            answers: answers.flat_map(Emission::events).map(|event| self.kind(event)).collect(),
            expires: expires_with.as_ref().map(|event| self.kind(event)),
            closed_by: (!outlives).then(|| self.kinds_of(&outcomes(manifest))),
        })
    }

    fn part(&mut self, part: &JoinPart) -> PartRule {
        PartRule { kinds: self.kinds_of(part.events()), every: matches!(part, JoinPart::Every(_)) }
    }

    /// What a reaction must emit. `outcomes` are those of its service.
    fn must(&mut self, reaction: &Reaction, outcomes: &[Kind]) -> Vec<Group> {
        let mut must = Vec::new();
        for group in &reaction.emits {
            match group {
                Emission::All(events) => {
                    must.extend(events.iter().map(|event| self.group(std::slice::from_ref(event))));
                }
                Emission::Each(events) => must.push(Group { list: true, ..self.group(events) }),
                Emission::OneOf(events) => must.push(self.group(events)),
                Emission::Outcome(events) => {
                    must.push(Group { outcomes: outcomes.to_vec(), ..self.group(events) });
                }
                // What may be left out can't be waited for.
                Emission::Maybe(_) | Emission::Scheduled(_) | _ => {}
            }
        }
        must
    }

    fn group(&mut self, events: &[EventRef]) -> Group {
        Group { awaits: self.kinds_of(events), outcomes: Vec::new(), list: false }
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

/// Every outcome of a service: a saga gets one of them.
fn outcomes(manifest: &Manifest) -> Vec<EventRef> {
    let groups = manifest.entries.iter().flat_map(|entry| &entry.emits);
    let groups = groups.chain(manifest.reactions.iter().flat_map(|reaction| &reaction.emits));
    groups.filter(|group| matches!(group, Emission::Outcome(_))).flat_map(Emission::events).cloned().collect()
}
