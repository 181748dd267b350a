//! The fold: updates go in, and questions about the system are answered from memory.

mod assess;
mod done;
mod judge;
mod lag;
mod letters;
mod parts;
mod plan;
mod query;
mod question;
mod rate;
mod saga;
mod sagas;
mod tell;
mod wait;

use std::collections::{BTreeMap, HashSet};

use pavane_choreography::{Choreography, Declaration};
use pavane_contract::{EventRef, SagaId, Timestamp, personal::Fields};

use crate::{
    report::{DeadLetter, Decision, Histogram},
    rules::{Kind, Rules},
    update::{SeenEvent, Update},
};
use lag::Lag;
use letters::Letters;
use rate::{Names, Rates};
use saga::{Added, Micros, New, Redrive, time};
use sagas::Sagas;

pub use letters::LetterFilter;
pub use query::{Filter, Page};

/// The limits of a view's memory. An event takes 64 bytes and a saga some 250, so the defaults stay below 250 MB.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Events of all sagas together. Above that, ended sagas are dropped, the oldest first; if there is none, open ones.
    pub events_max: usize,
    /// Sagas. Above that, as for events.
    pub sagas_max: usize,
    /// Events of one saga; later ones are only counted.
    pub events_per_saga_max: usize,
    /// Dead letters; the oldest are dropped.
    pub dead_letters_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events_max: 2_000_000, sagas_max: 400_000, events_per_saga_max: 10_000, dead_letters_max: 100_000 }
    }
}

/// What changed since the last call.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Changes {
    /// Sagas about which something was read.
    pub sagas: Vec<SagaId>,
    /// Whether there were more: read everything again.
    pub more: bool,
}

/// What is known about a system from its streams.
#[derive(Debug)]
pub struct View {
    limits: Limits,
    rules: Rules,
    sagas: Sagas,
    letters: Letters,
    lag: Lag,
    rates: Rates,
    sources: Names,
    totals: Totals,
    clock: ViewClock,
    touched: HashSet<u32>,
    changed: HashSet<SagaId>,
}

/// The time of the view.
#[derive(Debug, Default)]
struct ViewClock {
    /// When the last event that was read was stored.
    last_event: Micros,
    /// When the stream's end was last read, if everything up to there had been read.
    end: Micros,
    sequence: u64,
    last_sequence: u64,
    loaded: bool,
}

/// Counters that only grow.
#[derive(Debug, Default)]
struct Totals {
    events: u64,
    unreadable: u64,
    completed: u64,
    compensated: u64,
    failed_by: BTreeMap<Option<Kind>, u64>,
    completed_seconds: Histogram,
    compensated_seconds: Histogram,
}

impl Totals {
    fn new() -> Self {
        let (completed_seconds, compensated_seconds) = (judge::histogram(), judge::histogram());
        Self { completed_seconds, compensated_seconds, ..Self::default() }
    }
}

/// If more sagas change than this, the changes only say "more".
const CHANGED_MAX: usize = 10_000;

impl View {
    /// An empty view.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            rules: Rules::default(),
            sagas: Sagas::default(),
            letters: Letters::default(),
            lag: Lag::default(),
            rates: Rates::default(),
            sources: Names::default(),
            totals: Totals::new(),
            clock: ViewClock::default(),
            touched: HashSet::new(),
            changed: HashSet::new(),
        }
    }

    /// Adds what was read.
    pub fn apply(&mut self, updates: impl IntoIterator<Item = Update>) {
        for update in updates {
            self.apply_one(update);
        }
        self.refresh_touched();
        self.sagas.forget_beyond(&self.limits);
    }

    /// The time of everything that the view says, by the broker's clock: now when everything was read, else the time of the last
    /// event that was.
    pub fn as_of(&self) -> Timestamp {
        time(self.now())
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let more = self.changed.len() > CHANGED_MAX;
        Changes { sagas: self.changed.drain().take(CHANGED_MAX).collect(), more }
    }

    /// The choreography of the declared services.
    pub fn choreography(&self) -> Choreography {
        self.rules.choreography()
    }

    /// What each service declares.
    pub fn declarations(&self) -> impl Iterator<Item = &Declaration> {
        self.rules.declarations.values()
    }

    /// The fields of an event, as its owner declares them; `None` where it doesn't.
    pub fn fields(&self, event: &EventRef) -> Option<&Fields> {
        self.rules.declarations.get(event.owner())?.manifest.fields(event)
    }

    fn now(&self) -> Micros {
        self.clock.last_event.max(self.clock.end)
    }

    fn apply_one(&mut self, update: Update) {
        match update {
            Update::Declared(declaration) => {
                if self.rules.declare(*declaration) {
                    self.touched.extend(self.sagas.numbers());
                }
            }
            Update::Undeclared(service) => {
                if self.rules.withdraw(&service) {
                    self.touched.extend(self.sagas.numbers());
                }
            }
            Update::Event(event) => self.event(&event),
            Update::Unreadable { sequence, stored_at, why } => {
                tracing::debug!(sequence, why, "a message of the events stream is no event");
                self.totals.unreadable += 1;
                self.read(sequence, stored_at);
            }
            Update::DeadLetter(letter) => self.letter(*letter),
            Update::DeadLettersFrom(sequence) => self.letters.forget_before(sequence),
            Update::Decision(decision) => self.decision(*decision),
            Update::Consumers { at, reports } => {
                if self.lag.look(at, reports) {
                    // What was unknown before may be known now, also of ended sagas.
                    self.touched.extend(self.sagas.numbers());
                    self.refresh_touched();
                }
                self.judge_open();
            }
            Update::End { at, last_sequence, reached, loaded } => {
                self.clock.last_sequence = last_sequence;
                self.clock.loaded |= loaded;
                if reached {
                    self.clock.end = self.clock.end.max(at.as_microsecond());
                }
            }
            Update::Restarted => self.restart(),
        }
    }

    fn read(&mut self, sequence: u64, stored_at: Timestamp) {
        self.clock.sequence = self.clock.sequence.max(sequence);
        self.clock.last_sequence = self.clock.last_sequence.max(sequence);
        self.clock.last_event = self.clock.last_event.max(stored_at.as_microsecond());
    }

    fn event(&mut self, event: &SeenEvent) {
        let SeenEvent { sequence, stored_at, meta, redriven_to } = event;
        self.read(*sequence, *stored_at);
        self.totals.events += 1;
        let kind = self.rules.kind(&meta.event);
        let new = New {
            sequence: *sequence,
            id: meta.id,
            cause: meta.cause.event,
            emitted_at: meta.time.as_microsecond(),
            stored_at: stored_at.as_microsecond(),
            kind,
            source: self.sources.number(&meta.source),
            item: meta.cause.item,
        };
        let (number, fresh) = self.sagas.open(meta.cause.saga, meta.key.as_str());
        self.sagas.get_mut(number).name_by_first(meta.key.as_str());
        let added = self.sagas.add(number, &new, self.limits.events_per_saga_max);
        if let Some((service, reaction)) = redriven_to {
            let saga = self.sagas.get_mut(number);
            let on = saga.position(meta.id).and_then(|on| u16::try_from(on).ok()).unwrap_or(u16::MAX);
            let (service, reaction) = (service.clone(), reaction.clone());
            saga.rare().redrives.push(Redrive {
                service,
                reaction,
                on,
                sequence: new.sequence,
                stored_at: new.stored_at,
            });
        } else if added == Added::New {
            self.rates.count(kind, new.stored_at);
        }
        if fresh {
            self.rates.started(new.stored_at);
        }
        self.touch(number);
    }

    fn letter(&mut self, letter: DeadLetter) {
        if let Some(saga) = letter.saga {
            let (number, _) = self.sagas.open(saga, &letter.key);
            let letters = &mut self.sagas.get_mut(number).rare().letters;
            if !letters.contains(&letter.sequence) {
                letters.push(letter.sequence);
            }
            self.touch(number);
        }
        self.letters.add(letter, self.limits.dead_letters_max);
    }

    fn decision(&mut self, decision: Decision) {
        self.letters.decide(&decision);
        if let Some(saga) = decision.saga {
            let (number, _) = self.sagas.open(saga, "");
            let decisions = &mut self.sagas.get_mut(number).rare().decisions;
            if decisions.iter().all(|known| known.id != decision.id) {
                decisions.push(decision);
            }
            self.touch(number);
        }
    }

    fn touch(&mut self, number: u32) {
        self.touched.insert(number);
        if self.clock.loaded && self.changed.len() <= CHANGED_MAX {
            self.changed.insert(self.sagas.get(number).id);
        }
    }

    /// A new stream of that name: nothing of the old one is there any more.
    fn restart(&mut self) {
        self.sagas = Sagas::default();
        self.rates = Rates::default();
        self.totals = Totals::new();
        self.clock = ViewClock { last_event: self.now(), ..ViewClock::default() };
        self.touched.clear();
    }
}
