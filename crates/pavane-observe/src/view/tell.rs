//! Describes a saga in words.

use pavane_contract::{EventRef, Timestamp};

use super::{
    View,
    saga::{Micros, Record, Saga, time},
};
use crate::{
    report::{DeadLetter, Deviation, EventRole, LetterFate, SagaReport, SagaSummary, TimelineEvent},
    rules::Rule,
};

impl View {
    /// Everything about a saga; `None` when it isn't known (any more).
    pub fn saga(&self, saga: pavane_contract::SagaId) -> Option<SagaReport> {
        let saga = self.sagas.find(saga)?;
        let rule = saga.rule.and_then(|rule| self.rules.sagas.get(usize::from(rule)));
        let letters = saga.letters().iter().filter_map(|letter| self.letters.get(*letter));
        Some(SagaReport {
            summary: self.summary(saga),
            as_of: self.as_of(),
            within_ms: rule.and_then(|rule| rule.within_ms).map(unsigned),
            outcome: saga.outcome.map(|(at, _)| self.name(&saga.events[usize::from(at)]).to_owned()),
            ended_at: self.ended_at(saga).map(time),
            timeline: (0..saga.events.len()).map(|at| self.timeline_event(saga, at)).collect(),
            events_dropped: saga.rare.as_ref().map_or(0, |rare| rare.dropped),
            outstanding: self.outstanding(saga),
            questions: self.questions_of(saga).collect(),
            effects: self.effects(saga),
            items: self.item_steps(saga),
            dead_letters: letters.map(|letter| self.told(letter)).collect(),
            decisions: saga.decisions().to_vec(),
            deviations: self.deviations(saga),
        })
    }

    /// A dead letter as it is reported: the declarations say whether its reaction is an undo.
    pub(super) fn told(&self, letter: &DeadLetter) -> DeadLetter {
        let rule = self.rules.find(&letter.service, &letter.reaction);
        let undo = rule.is_some_and(|(_, rule)| rule.is_undo());
        DeadLetter { undo, ..letter.clone() }
    }

    pub(super) fn summary(&self, saga: &Saga) -> SagaSummary {
        let outstanding = self.outstanding(saga);
        let first = saga.events.first().map_or(0, |first| first.stored_at);
        let last = saga.events.last();
        let end = self.ended_at(saga).unwrap_or_else(|| self.now());
        let mut waits_on: Vec<String> = outstanding.iter().map(|wait| wait.service.clone()).collect();
        waits_on.retain(|service| !service.is_empty());
        waits_on.sort();
        waits_on.dedup();
        let letters = saga.letters().iter().filter_map(|letter| self.letters.get(*letter));
        let asks = self.questions_of(saga).map(|question| question.sentence);
        SagaSummary {
            saga: saga.id,
            name: saga.rule.map(|rule| self.rules.sagas[usize::from(rule)].name.clone()),
            key: saga.key.to_string(),
            state: self.state(saga),
            step: last.map(|last| self.name(last).to_owned()).unwrap_or_default(),
            waits_for: outstanding.into_iter().map(|wait| wait.sentence).chain(asks).next(),
            waits_on,
            started_at: time(first),
            last_at: time(last.map_or(0, |last| last.stored_at)),
            age_ms: unsigned((end - first) / 1000),
            events: saga.events.len(),
            dead_letters: letters.filter(|letter| letter.fate == LetterFate::Open).count(),
        }
    }

    fn timeline_event(&self, saga: &Saga, at: usize) -> TimelineEvent {
        let event = &saga.events[at];
        let EventRef { name, version } = self.rules.event(event.kind).clone();
        let took = event.cause().map(|cause| unsigned((event.stored_at - saga.events[cause].stored_at) / 1000));
        let to = |redrive: &&super::saga::Redrive| usize::from(redrive.on) == at;
        TimelineEvent {
            sequence: event.sequence,
            id: event.id,
            event: name,
            version,
            source: self.sources.name(event.source).to_owned(),
            emitted_by: self.emitter(saga, event),
            caused_by: saga.cause_id(at),
            emitted_at: time(event.emitted_at),
            stored_at: time(event.stored_at),
            took_ms: took,
            role: self.role(saga, at),
            item: event.item.map(Into::into),
            copies: event.copies,
            redriven_to: saga
                .redrives()
                .iter()
                .filter(to)
                .map(|redrive| format!("{}/{}", redrive.service, redrive.reaction))
                .collect(),
        }
    }

    fn role(&self, saga: &Saga, at: usize) -> EventRole {
        let kind = saga.events[at].kind;
        let rule = saga.rule.map(|rule| &self.rules.sagas[usize::from(rule)]);
        if let Some(rule) = rule {
            if rule.starts == Some(kind) {
                return EventRole::Start;
            }
            if rule.completes.contains(&kind) {
                return EventRole::Completes;
            }
            if rule.aborts.contains(&kind) {
                return EventRole::Aborts;
            }
        }
        if self.rules.undos().any(|(_, _, undoes)| undoes == kind) {
            return EventRole::Step;
        }
        if self.rules.undos().any(|(_, undo, _)| undo.emitted.contains(&kind)) {
            return EventRole::Undo;
        }
        EventRole::Other
    }

    /// The reaction or entry point that emitted an event, if the declarations show it.
    fn emitter(&self, saga: &Saga, event: &Record) -> Option<String> {
        let emits = |rule: &&Rule| rule.emitted.contains(&event.kind);
        if let Some(cause) = event.cause() {
            let mut on = self.rules.on(saga.events[cause].kind).map(|(_, rule)| rule);
            if let Some(rule) = on.find(emits) {
                return Some(format!("{}/{}", rule.service, rule.reaction));
            }
        }
        let source = self.sources.name(event.source);
        let manifest = &self.rules.declarations.get(source)?.manifest;
        let wanted = self.rules.event(event.kind);
        let emits =
            |entry: &&pavane_choreography::Entry| entry.emits.iter().any(|group| group.events().contains(wanted));
        manifest.entries.iter().find(emits).map(|entry| format!("{source}/{}", entry.name))
    }

    /// What happened without being declared. Nothing for a service without a declaration.
    fn deviations(&self, saga: &Saga) -> Vec<Deviation> {
        let deviation = |event: &Record| {
            let wanted = self.rules.event(event.kind);
            let source = self.sources.name(event.source);
            let what = if wanted.owner() == source {
                let manifest = &self.rules.declarations.get(source)?.manifest;
                if !manifest.emitted().any(|declared| declared == wanted) {
                    format!("{source} does not declare that it emits {wanted}")
                } else if event.cause().is_some() && self.emitter(saga, event).is_none() {
                    let cause = event.cause().map_or("", |cause| self.name(&saga.events[cause]));
                    format!("no reaction of {source} declares that it emits {wanted} on {cause}")
                } else {
                    return None;
                }
            } else {
                format!("{source} emitted {wanted}, which belongs to {}", wanted.owner())
            };
            let (event, source) = ((event.sequence, wanted.name.clone()), source.to_owned());
            Some(Deviation { sequence: event.0, event: event.1, source, what })
        };
        saga.events.iter().filter_map(deviation).collect()
    }

    pub(super) fn name(&self, event: &Record) -> &str {
        self.rules.name(event.kind)
    }
}

/// Two digits or so are enough to act on.
pub(super) fn duration(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..120_000 => format!("{} s", millis / 1000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} days", millis / 86_400_000),
    }
}

/// Clocks may disagree; a negative duration becomes zero.
pub(super) fn unsigned(value: Micros) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The time as it is compared.
pub(super) fn micros(at: Timestamp) -> Micros {
    at.as_microsecond()
}
