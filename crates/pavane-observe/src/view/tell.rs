//! Describes a saga in words.

use std::cmp::Reverse;

use pavane_contract::{EventRef, Timestamp};

use super::{
    View,
    saga::{Micros, Record, Saga, Wait, What, time},
};
use crate::{
    report::{
        DeadLetter, Deviation, Effect, EventRole, Fate, Gathered, LetterFate, Outstanding, SagaReport, SagaSummary,
        TimelineEvent,
    },
    rules::{Kind, Rule},
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

    /// What a saga waits for; overdue waits first.
    pub(super) fn outstanding(&self, saga: &Saga) -> Vec<Outstanding> {
        let certain = saga.waits.iter().filter(|wait| self.judge(wait).certain);
        let mut outstanding: Vec<Outstanding> = certain.map(|wait| self.wait(saga, wait)).collect();
        if self.too_late(saga) {
            outstanding.extend(self.end_that_does_not_come(saga));
        }
        // First what won't come by itself; then answers before mere handling, because the saga goes on with them.
        outstanding.sort_by_key(|wait| {
            let beyond = wait.waited_ms.saturating_sub(wait.stuck_after_ms);
            (Reverse(wait.overdue), wait.dead_letter.is_none(), wait.awaits.is_empty(), Reverse(beyond), wait.since)
        });
        outstanding
    }

    fn wait(&self, saga: &Saga, wait: &Wait) -> Outstanding {
        let rule = self.rules.rule(wait.rule);
        let on = &saga.events[usize::from(wait.on)];
        let is_missing = |part: &&Vec<Kind>| !saga.events.iter().any(|event| part.contains(&event.kind));
        let missing: Vec<_> = rule.parts.iter().filter(is_missing).collect();
        let awaits = match wait.what {
            What::Answer(group) => self.rules.names(&rule.must[usize::from(group)].awaits),
            What::Handled => Vec::new(),
            What::Parts => missing.iter().flat_map(|part| self.rules.names(part)).collect(),
        };
        let mut told = Outstanding {
            service: rule.service.clone(),
            reaction: rule.reaction.clone(),
            on: self.name(on).to_owned(),
            on_id: Some(on.id),
            awaits,
            undo: rule.is_undo(),
            since: time(wait.since),
            waited_ms: unsigned((self.now() - wait.since) / 1000),
            stuck_after_ms: unsigned(rule.stuck_after_ms),
            overdue: self.judge(wait).overdue,
            dead_letter: wait.dead_letter,
            gathered: (wait.what == What::Parts)
                .then(|| Gathered { events: rule.parts.len() - missing.len(), of: rule.parts.len() }),
            sentence: String::new(),
        };
        told.sentence = sentence(&told, &missing.iter().map(|part| self.told_part(part)).collect::<Vec<_>>());
        told
    }

    /// For example: `car.booked or car.unavailable from car`.
    fn told_part(&self, part: &[Kind]) -> String {
        let mut owners: Vec<_> = part.iter().map(|kind| self.rules.event(*kind).owner()).collect();
        owners.dedup();
        format!("{} from {}", self.rules.names(part).join(" or "), owners.join(" or "))
    }

    /// The saga waits for no answer, and yet has no outcome within its time.
    fn end_that_does_not_come(&self, saga: &Saga) -> Option<Outstanding> {
        let rule = &self.rules.sagas[usize::from(saga.rule?)];
        let (since, within) = self.deadline(saga)?;
        let ends: Vec<Kind> = rule.completes.iter().chain(&rule.aborts).copied().collect();
        let mut told = Outstanding {
            service: String::new(),
            reaction: String::new(),
            on: saga.events.first().map(|first| self.name(first).to_owned()).unwrap_or_default(),
            on_id: saga.events.first().map(|first| first.id),
            awaits: self.rules.names(&ends),
            undo: false,
            since: time(since),
            waited_ms: unsigned((self.now() - since) / 1000),
            stuck_after_ms: unsigned(within),
            overdue: true,
            dead_letter: None,
            gathered: None,
            sentence: String::new(),
        };
        told.sentence = sentence(&told, &[]);
        Some(told)
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

    /// The steps that were done.
    fn effects(&self, saga: &Saga) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (id, undo, undoes) in self.rules.undos() {
            let Some(done) = saga.first(undoes) else { continue };
            let step = |rule: &&Rule| rule.undo == Some(id);
            let Some(step) = self.rules.reactions.iter().find(step) else { continue };
            let waits = || saga.waits.iter().filter(|wait| wait.rule == id);
            let triggered = saga.events.iter().any(|event| self.rules.on(event.kind).any(|(rule, _)| rule == id));
            let said = saga.events.iter().any(|event| undo.emitted.contains(&event.kind));
            let fate = match saga.outcome {
                _ if said => Fate::Undone,
                _ if waits().any(|wait| wait.dead_letter.is_some()) => Fate::Failed,
                _ if triggered && waits().any(|wait| self.judge(wait).certain) => Fate::Undoing,
                _ if triggered => Fate::Presumed,
                Some((_, true)) => Fate::Kept,
                _ => Fate::Armed,
            };
            effects.push(Effect {
                service: undo.service.clone(),
                step: step.reaction.clone(),
                done: self.rules.name(undoes).to_owned(),
                done_sequence: saga.events[done].sequence,
                external: step.effect,
                undo: undo.reaction.clone(),
                fate,
            });
        }
        effects.sort_by_key(|effect| effect.done_sequence);
        effects
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

/// For example: `waiting 47 s for payment.captured or payment.capture-failed from payment; stuck after 30 s`.
fn sentence(wait: &Outstanding, missing: &[String]) -> String {
    let (waited, stuck_after) = (duration(wait.waited_ms), duration(wait.stuck_after_ms));
    let what = match wait.awaits.as_slice() {
        [] => format!("{} to handle {} ({})", wait.service, wait.on, wait.reaction),
        awaits if wait.service.is_empty() => format!("{} from anybody", awaits.join(" or ")),
        awaits => format!("{} from {}", awaits.join(" or "), wait.service),
    };
    let in_vain = |letter: u64| format!(", in vain: {} gave up (dead letter {letter})", wait.reaction);
    let in_vain = wait.dead_letter.map(in_vain);
    if let Some(Gathered { events, of }) = wait.gathered {
        let (reaction, missing, in_vain) = (&wait.reaction, missing.join(" and "), in_vain.unwrap_or_default());
        return format!("{reaction} has {events} of {of} events, waiting {waited} for {missing}{in_vain}");
    }
    let then = in_vain.unwrap_or_else(|| format!("; stuck after {stuck_after}"));
    format!("waiting {waited} for {what}{then}")
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
