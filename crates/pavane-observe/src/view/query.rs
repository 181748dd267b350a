//! Questions about many sagas.

use std::collections::{BTreeMap, HashMap};

use pavane_contract::{SagaId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    View,
    letters::{self, LetterFilter},
    saga::{Saga, What},
    tell::{micros, unsigned},
};
use crate::{
    report::{
        ConsumerFlow, DeadLetter, DeadLetterGroup, EventFlow, Flow, Metrics, Overview, ReactionFlow, SagaSummary, State,
    },
    rules::RuleId,
};

/// Selects sagas: all given conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default)]
#[non_exhaustive]
pub struct Filter {
    /// A saga's id or an event's, a key, or a part of a key.
    pub text: Option<String>,
    /// Their state.
    pub state: Option<State>,
    /// A service that they wait for.
    pub service: Option<String>,
    /// A reaction that they wait for, as `<service>/<reaction>`.
    pub reaction: Option<String>,
    /// An event that they have.
    pub event: Option<String>,
    /// The name of their last event.
    pub step: Option<String>,
    /// The name of the declared saga.
    pub name: Option<String>,
    /// Only those that started before this, to page on from the last one of a page.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime), param(value_type = Option<String>))]
    pub before: Option<Timestamp>,
    /// How many at most; 0 for 100.
    pub limit: usize,
}

/// A page of the selected sagas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Page {
    /// The time of this report.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub as_of: Timestamp,
    /// Their summaries, the newest first.
    pub sagas: Vec<SagaSummary>,
    /// How many were selected.
    pub total: usize,
}

/// The default limit.
const LIMIT: usize = 100;
/// How many seconds a rate of events is taken over.
const EVENT_RATE_SECONDS: u8 = 10;
/// How many seconds a rate of sagas is taken over.
const SAGA_RATE_SECONDS: u8 = 60;

impl View {
    /// The sagas with this id or key, or with an event of this id; the newest first.
    pub fn find(&self, text: &str) -> Vec<SagaId> {
        let text = text.trim();
        let mut found: Vec<&Saga> = self.sagas.all().filter(|saga| is_called(saga, text)).collect();
        found.sort_by_key(|saga| std::cmp::Reverse(started(saga)));
        found.into_iter().map(|saga| saga.id).collect()
    }

    /// The sagas that a filter selects.
    pub fn sagas(&self, filter: &Filter) -> Page {
        let mut found: Vec<&Saga> = self.sagas.all().filter(|saga| self.selects(filter, saga)).collect();
        found.sort_by_key(|saga| std::cmp::Reverse((started(saga), saga.id)));
        let total = found.len();
        let before = filter.before.map(micros);
        let page = found.into_iter().filter(|saga| before.is_none_or(|before| started(saga) < before));
        let limit = if filter.limit == 0 { LIMIT } else { filter.limit };
        Page { as_of: self.as_of(), sagas: page.take(limit).map(|saga| self.summary(saga)).collect(), total }
    }

    /// Every saga that is stuck or needs a decision, the longest wait first.
    pub fn stuck(&self) -> Vec<SagaSummary> {
        let open = self.sagas.open_ones().map(|number| self.sagas.get(number));
        let stuck = open.filter(|saga| matches!(self.state(saga), State::Stuck | State::NeedsReview));
        let mut stuck: Vec<SagaSummary> = stuck.map(|saga| self.summary(saga)).collect();
        stuck.sort_by(|a, b| a.last_at.cmp(&b.last_at).then(a.saga.cmp(&b.saga)));
        stuck
    }

    /// The dead letters that a filter selects, the oldest first.
    pub fn dead_letters(&self, filter: &LetterFilter) -> Vec<DeadLetter> {
        self.letters.all().filter(|letter| filter.matches(letter)).map(|letter| self.told(letter)).collect()
    }

    /// One dead letter.
    pub fn dead_letter(&self, sequence: u64) -> Option<DeadLetter> {
        self.letters.get(sequence).map(|letter| self.told(letter))
    }

    /// The dead letters that a filter selects by service, reaction and cause, the largest group first.
    pub fn dead_letter_groups(&self, filter: &LetterFilter) -> Vec<DeadLetterGroup> {
        letters::groups(self.letters.all().filter(|letter| filter.matches(letter)))
    }

    /// The whole system at a glance.
    pub fn overview(&self) -> Overview {
        let mut steps: BTreeMap<String, u64> = BTreeMap::new();
        for saga in self.sagas.open_ones().map(|number| self.sagas.get(number)) {
            if let (None, Some(last)) = (saga.outcome, saga.events.last()) {
                *steps.entry(self.name(last).to_owned()).or_default() += 1;
            }
        }
        let failed_by = self.totals.failed_by.iter().map(|(kind, count)| {
            let by = kind.map_or("an entry point", |kind| self.rules.name(kind));
            (by.to_owned(), *count)
        });
        Overview {
            as_of: self.as_of(),
            loaded: self.clock.loaded,
            events: self.totals.events,
            sequence: self.clock.sequence,
            states: self.states(),
            steps,
            failed_by: failed_by.collect(),
            started_per_second: self.rates.started.per_second(self.now(), SAGA_RATE_SECONDS - 1),
            ended_per_second: self.rates.ended.per_second(self.now(), SAGA_RATE_SECONDS - 1),
            dead_letters: self.letters.open().count(),
            forgotten: self.sagas.forgotten,
            forgotten_open: self.sagas.forgotten_open,
            unreadable: self.totals.unreadable,
            services: self.rules.declarations.keys().cloned().collect(),
        }
    }

    /// The choreography, live.
    pub fn flow(&self) -> Flow {
        let declared: std::collections::HashSet<_> =
            self.rules.declarations.values().flat_map(|declaration| declaration.manifest.emitted()).collect();
        let events = self.rules.kinds().map(|(kind, event)| {
            let rate = self.rates.of(kind);
            EventFlow {
                event: event.name.clone(),
                version: event.version,
                declared: declared.contains(event),
                total: rate.map_or(0, |rate| rate.total),
                per_second: rate.map_or(0.0, |rate| rate.per_second(self.now(), EVENT_RATE_SECONDS)),
            }
        });
        let waiting = self.waiting();
        let durables: std::collections::HashSet<_> = self.rules.reactions.iter().map(|rule| &rule.durable).collect();
        let mut foreign: Vec<_> =
            self.lag.reports().map(|report| report.name.clone()).filter(|name| !durables.contains(name)).collect();
        foreign.sort();
        Flow {
            as_of: self.as_of(),
            events: events.collect(),
            reactions: (0..self.rules.reactions.len()).map(|id| self.reaction(id, &waiting)).collect(),
            foreign_consumers: foreign,
        }
    }

    /// Numbers for a metrics system.
    pub fn metrics(&self) -> Metrics {
        let mut stuck: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        for saga in self.sagas.open_ones().map(|number| self.sagas.get(number)) {
            for wait in self.outstanding(saga).into_iter().filter(|wait| wait.overdue) {
                *stuck.entry((wait.service, wait.reaction, wait.awaits.join("|"))).or_default() += 1;
            }
        }
        Metrics {
            sagas: self.states(),
            completed_total: self.totals.completed,
            compensated_total: self.totals.compensated,
            completed_seconds: self.totals.completed_seconds.clone(),
            compensated_seconds: self.totals.compensated_seconds.clone(),
            stuck,
            behind: self.clock.last_sequence.saturating_sub(self.clock.sequence),
        }
    }

    fn states(&self) -> BTreeMap<State, u64> {
        let mut states: BTreeMap<State, u64> = State::ALL.map(|state| (state, 0)).into();
        for saga in self.sagas.all() {
            *states.entry(self.state(saga)).or_default() += 1;
        }
        states
    }

    /// How many sagas wait for each reaction, and how many of them too long.
    fn waiting(&self) -> HashMap<RuleId, (u64, u64)> {
        let mut waiting: HashMap<RuleId, (u64, u64)> = HashMap::new();
        for saga in self.sagas.open_ones().map(|number| self.sagas.get(number)) {
            // A saga waits for a reaction once, for however many items.
            let mut here: HashMap<RuleId, (bool, bool)> = HashMap::new();
            for wait in &saga.waits {
                let judged = self.judge(wait);
                let (certain, overdue) = here.entry(wait.rule).or_default();
                *certain |= judged.certain;
                *overdue |= judged.overdue;
            }
            for (rule, (certain, late)) in here {
                let (count, overdue) = waiting.entry(rule).or_default();
                *count += u64::from(certain);
                *overdue += u64::from(late);
            }
        }
        waiting
    }

    fn reaction(&self, id: usize, waiting: &HashMap<RuleId, (u64, u64)>) -> ReactionFlow {
        let rule = &self.rules.reactions[id];
        let here = |letter: &&DeadLetter| letter.service == rule.service && letter.reaction == rule.reaction;
        let consumer = self.lag.report(&rule.durable).map(|report| ConsumerFlow {
            pending: report.pending,
            in_flight: report.in_flight,
            redelivered: report.redelivered,
            attended: report.waiting_pulls > 0,
            paused: report.paused,
            active: report.settled.active,
        });
        let every = rule.parts.iter().filter(|part| part.every).flat_map(|part| &part.kinds);
        let number = RuleId::try_from(id).unwrap_or(RuleId::MAX);
        let (waits, overdue) = waiting.get(&number).copied().unwrap_or_default();
        ReactionFlow {
            service: rule.service.clone(),
            reaction: rule.reaction.clone(),
            undo: rule.is_undo(),
            effect: rule.effect,
            each: rule.each,
            on: rule.on.iter().map(|event| event.name.clone()).collect(),
            every: self.rules.names(&every.copied().collect::<Vec<_>>()),
            emits: self.rules.names(&rule.emitted),
            durable: rule.durable.clone(),
            consumer,
            dead_letters: self.letters.open().filter(here).count() as u64,
            waiting: waits,
            overdue,
            stuck_after_ms: unsigned(rule.stuck_after_ms),
        }
    }

    fn selects(&self, filter: &Filter, saga: &Saga) -> bool {
        let last = saga.events.last();
        filter.text.as_deref().is_none_or(|text| saga.key.contains(text.trim()) || is_called(saga, text.trim()))
            && filter.event.as_ref().is_none_or(|name| saga.events.iter().any(|event| self.name(event) == name))
            && filter.step.as_ref().is_none_or(|step| last.is_some_and(|last| self.name(last) == step))
            && filter
                .name
                .as_ref()
                .is_none_or(|name| saga.rule.is_some_and(|rule| self.rules.sagas[usize::from(rule)].name == *name))
            && self.waits_as(filter, saga)
            && filter.state.is_none_or(|state| self.state(saga) == state)
    }

    fn waits_as(&self, filter: &Filter, saga: &Saga) -> bool {
        if filter.service.is_none() && filter.reaction.is_none() {
            return true;
        }
        saga.waits.iter().any(|wait| {
            let rule = self.rules.rule(wait.rule);
            let reaction = || format!("{}/{}", rule.service, rule.reaction);
            filter.service.as_ref().is_none_or(|service| *service == rule.service)
                && filter.reaction.as_ref().is_none_or(|wanted| *wanted == reaction())
                && (wait.what != What::Handled || self.judge(wait).certain)
        })
    }
}

/// Whether a text is the saga's id or key, or the id of one of its events.
fn is_called(saga: &Saga, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    if *saga.key == *text {
        return true;
    }
    let Ok(id) = text.parse::<uuid::Uuid>() else { return false };
    saga.id.as_uuid() == id || saga.position(id.into()).is_some()
}

fn started(saga: &Saga) -> i64 {
    saga.events.first().map_or(0, |first| first.stored_at)
}
