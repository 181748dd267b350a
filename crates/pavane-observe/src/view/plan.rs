//! Checks dead letters before a redrive.

use std::collections::BTreeSet;

use pavane_contract::SagaId;

use super::{
    View,
    letters::LetterFilter,
    saga::Saga,
    tell::{micros, unsigned},
};
use crate::{
    redrive::{Concern, Plan, Preflight},
    report::{DeadLetter, LetterFate, State},
    rules::Rule,
};

impl View {
    /// Checks each dead letter that a filter selects against the view. [`Plan::look_at_bodies`] checks the bodies.
    pub fn plan(&self, filter: &LetterFilter) -> Plan {
        let letters = self.letters.all().filter(|letter| filter.matches(letter));
        Plan { letters: letters.map(|letter| Preflight::new(self.told(letter), self.concerns(letter))).collect() }
    }

    /// The undos that gave up, because of which a saga needs review. `None` when there is none.
    pub fn failed_undos(&self, saga: SagaId) -> Option<LetterFilter> {
        let waits = self.sagas.find(saga)?.waits.iter().filter(|wait| self.is_undo(wait.rule));
        // There may be several waits for one undo.
        let sequences: BTreeSet<u64> = waits.filter_map(|wait| wait.dead_letter).collect();
        let sequences: Vec<u64> = sequences.into_iter().collect();
        (!sequences.is_empty()).then(|| LetterFilter { saga: Some(saga), sequences, ..LetterFilter::default() })
    }

    fn concerns(&self, letter: &DeadLetter) -> Vec<Concern> {
        let mut concerns = Vec::new();
        match letter.fate {
            LetterFate::Open => {}
            LetterFate::Redriven => concerns.push(Concern::Decided("it was redriven already".to_owned())),
            LetterFate::Discarded => concerns.push(Concern::Decided("it was discarded".to_owned())),
        }
        let who = format!("{}/{}", letter.service, letter.reaction);
        let Some((_, rule)) = self.rules.find(&letter.service, &letter.reaction) else {
            concerns.push(Concern::NobodyListens(format!("no service declares {who}")));
            return concerns;
        };
        concerns.extend(self.heard(letter, rule));
        concerns.extend(self.remembered(letter));
        let runs = rule.on.iter().any(|on| on.name == letter.event && (on.version == letter.version || rule.is_undo()));
        if !runs {
            concerns.push(Concern::NotForIt(format!("{who} does not run on {} v{}", letter.event, letter.version)));
        }
        if let Some(saga) = letter.saga.and_then(|saga| self.sagas.find(saga)) {
            self.about_saga(letter, rule, saga, &mut concerns);
        }
        concerns
    }

    /// Whether the reaction's consumer gets redrives.
    fn heard(&self, letter: &DeadLetter, rule: &Rule) -> Option<Concern> {
        let subject = format!("redrive.{}.{}.{}", letter.service, letter.reaction, letter.subject);
        let Some(report) = self.lag.report(&rule.durable) else {
            return Some(Concern::NobodyListens(format!("there is no consumer {}", rule.durable)));
        };
        let hears = report.filters.iter().any(|filter| pavane_bus::topology::matches(filter, &subject));
        (!hears && !report.filters.is_empty())
            .then(|| Concern::NobodyListens(format!("the consumer {} does not get redrives", rule.durable)))
    }

    /// Whether the service still remembers if it has handled the event.
    fn remembered(&self, letter: &DeadLetter) -> Option<Concern> {
        const DAY_MS: u64 = 86_400_000;
        let settings = &self.rules.declarations.get(&letter.service)?.settings;
        let remembers = crate::rules::millis(settings.inbox_retention);
        let age = (self.now() - micros(letter.stored_at)) / 1000;
        (remembers > 0 && age >= remembers).then(|| {
            Concern::MayBeForgotten(format!(
                "it is {} days old, and {} remembers for {} days what it has handled: an effect could run twice",
                unsigned(age) / DAY_MS,
                letter.service,
                unsigned(remembers) / DAY_MS
            ))
        })
    }

    fn about_saga(&self, letter: &DeadLetter, rule: &Rule, saga: &Saga, concerns: &mut Vec<Concern>) {
        let on = saga.run_on(rule, letter.event_id);
        let by_it = |cause: Option<usize>| rule.is_undo() || cause.is_some_and(|cause| on.contains(&cause));
        let answer = saga.events.iter().find(|event| rule.emitted.contains(&event.kind) && by_it(event.cause()));
        // What was undone of one item is no answer for the others.
        let owes = rule.each && !saga.not_undone(rule, &rule.emitted).is_empty();
        let answer = answer.filter(|_| !owes);
        match answer {
            Some(answer) if rule.gives_up == Some(answer.kind) => concerns.push(Concern::SagaWasTold(format!(
                "the reaction gave up and emitted {}: the event counts as handled",
                self.name(answer)
            ))),
            Some(answer) => {
                concerns.push(Concern::AlreadyApplied(format!("its answer {} is there already", self.name(answer))));
            }
            None => {}
        }
        if let Some(undo) = rule.undo
            && answer.is_none()
            && saga.events.iter().any(|event| self.rules.on(event.kind).any(|(id, _)| id == undo))
        {
            let undo = &self.rules.rule(undo).reaction;
            concerns.push(Concern::Barred(format!("{undo} was triggered: the step is barred and will be skipped")));
        }
        let state = self.state(saga);
        if matches!(state, State::Completed | State::Compensated | State::Resolved) {
            concerns.push(Concern::SagaEnded(format!("the saga is {}", state.as_str())));
        }
    }
}
