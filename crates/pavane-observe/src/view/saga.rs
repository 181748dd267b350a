//! One saga, in as little memory as possible.

use std::collections::BTreeSet;

use pavane_contract::{EventId, Item, SagaId, Timestamp};

use crate::{
    report::{Action, Decision},
    rules::{Kind, Rule, RuleId},
};

/// Microseconds since the Unix epoch.
pub(super) type Micros = i64;

/// The cause isn't among the saga's events, or there is none.
const NO_CAUSE: u16 = u16::MAX;

/// An event of a saga: 64 bytes.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) sequence: u64,
    pub(super) id: EventId,
    pub(super) emitted_at: Micros,
    pub(super) stored_at: Micros,
    pub(super) kind: Kind,
    /// The service's number.
    pub(super) source: u16,
    cause: u16,
    pub(super) copies: u16,
    pub(super) item: Option<Item>,
}

impl Record {
    /// The number of its item, where each counts by itself.
    pub(super) fn about(&self, each: bool) -> Option<u32> {
        self.item.filter(|_| each).map(Item::number)
    }

    pub(super) fn cause(&self) -> Option<usize> {
        (self.cause != NO_CAUSE).then(|| usize::from(self.cause))
    }
}

/// Everything that is kept of a saga.
#[derive(Debug)]
pub(super) struct Saga {
    pub(super) id: SagaId,
    pub(super) key: Box<str>,
    pub(super) events: Vec<Record>,
    /// What few sagas have.
    pub(super) rare: Option<Box<Rare>>,
    /// The declared saga.
    pub(super) rule: Option<u8>,
    /// The event that is its outcome, and whether that is a success.
    pub(super) outcome: Option<(u16, bool)>,
    pub(super) waits: Vec<Wait>,
    /// Nothing is expected to happen any more.
    pub(super) settled: bool,
    /// Its outcome was counted.
    pub(super) decided: bool,
    /// Its end was counted.
    pub(super) counted: bool,
}

/// What few sagas have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// Events whose cause was not known when they were read.
    orphans: Vec<(u16, EventId)>,
    pub(super) redrives: Vec<Redrive>,
    /// Sequences of dead letters.
    pub(super) letters: Vec<u64>,
    pub(super) decisions: Vec<Decision>,
    pub(super) dropped: u64,
}

/// A redrive of an event.
#[derive(Debug, Clone)]
pub(super) struct Redrive {
    pub(super) service: String,
    pub(super) reaction: String,
    pub(super) on: u16,
    pub(super) sequence: u64,
    pub(super) stored_at: Micros,
}

/// Something that a saga may wait for.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    pub(super) rule: RuleId,
    /// The event that the reaction runs on.
    pub(super) on: u16,
    pub(super) what: What,
    /// Which of the items it is about, of a reaction that runs once for each, or its undo.
    pub(super) item: Option<Item>,
    pub(super) since: Micros,
    /// The sequence of that event, or of its redrive.
    pub(super) sequence: u64,
    /// Whether the saga counts as compensated only after it.
    pub(super) compensates: bool,
    pub(super) dead_letter: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// One event of this group of the rule, or the whole list.
    Answer(u8),
    /// That it has handled the event.
    Handled,
    /// The events that a join lacks.
    Parts,
}

/// The result of adding an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    New,
    Copy,
    Dropped,
}

/// An event to add.
#[derive(Debug)]
pub(super) struct New {
    pub(super) sequence: u64,
    pub(super) id: EventId,
    pub(super) cause: Option<EventId>,
    pub(super) emitted_at: Micros,
    pub(super) stored_at: Micros,
    pub(super) kind: Kind,
    pub(super) source: u16,
    pub(super) item: Option<Item>,
}

impl Saga {
    pub(super) fn new(id: SagaId, key: &str) -> Self {
        Self {
            id,
            key: key.into(),
            events: Vec::new(),
            rare: None,
            rule: None,
            outcome: None,
            waits: Vec::new(),
            settled: false,
            decided: false,
            counted: false,
        }
    }

    /// Sets the key to that of the first event, also when a dead letter or a decision was read before it.
    pub(super) fn name_by_first(&mut self, key: &str) {
        if self.events.is_empty() {
            self.key = key.into();
        }
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(super) fn position(&self, id: EventId) -> Option<usize> {
        self.events.iter().position(|event| event.id == id)
    }

    /// Adds an event, keeping the stream's order.
    pub(super) fn add(&mut self, new: &New, max: usize) -> Added {
        if let Some(known) = self.position(new.id) {
            let known = &mut self.events[known];
            known.copies = known.copies.saturating_add(1);
            return Added::Copy;
        }
        if self.events.len() >= max.min(usize::from(NO_CAUSE)) {
            self.rare().dropped += 1;
            return Added::Dropped;
        }
        let position = u16::try_from(self.events.len()).unwrap_or(NO_CAUSE);
        let cause = new.cause.and_then(|cause| self.position(cause));
        self.events.push(Record {
            sequence: new.sequence,
            id: new.id,
            emitted_at: new.emitted_at,
            stored_at: new.stored_at,
            kind: new.kind,
            source: new.source,
            cause: cause.and_then(|cause| u16::try_from(cause).ok()).unwrap_or(NO_CAUSE),
            copies: 0,
            item: new.item,
        });
        if let (Some(id), None) = (new.cause, cause) {
            self.rare().orphans.push((position, id));
        }
        self.adopt(position, new.id);
        Added::New
    }

    /// The broker may have lost a cause and stored it again, after the events that it caused.
    fn adopt(&mut self, position: u16, id: EventId) {
        let Some(rare) = &mut self.rare else { return };
        let events = &mut self.events;
        rare.orphans.retain(|(orphan, cause)| {
            if *cause == id {
                events[usize::from(*orphan)].cause = position;
            }
            *cause != id
        });
    }

    /// The cause of an event, also when the cause itself isn't known.
    pub(super) fn cause_id(&self, position: usize) -> Option<EventId> {
        if let Some(cause) = self.events[position].cause() {
            return Some(self.events[cause].id);
        }
        let orphans = self.rare.iter().flat_map(|rare| &rare.orphans);
        orphans.into_iter().find(|(orphan, _)| usize::from(*orphan) == position).map(|(_, cause)| *cause)
    }

    pub(super) fn first(&self, kind: Kind) -> Option<usize> {
        self.events.iter().position(|event| event.kind == kind)
    }

    /// The first event of these kinds, or, where `each` counts by itself, the first of each item; in the order of the stream.
    pub(super) fn firsts(&self, kinds: &[Kind], each: bool) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let events = self.events.iter().enumerate().filter(|(_, event)| kinds.contains(&event.kind));
        events.filter(|(_, event)| seen.insert(event.about(each))).map(|(position, _)| position).collect()
    }

    /// The events that an undo undoes, and that none of these kinds follows.
    pub(super) fn not_undone(&self, undo: &Rule, by: &[Kind]) -> Vec<usize> {
        let about = |position: &usize| self.events[*position].about(undo.each);
        let undone: BTreeSet<_> = self.firsts(by, undo.each).iter().map(about).collect();
        let mut done = undo.undoes.map_or_else(Vec::new, |kind| self.firsts(&[kind], undo.each));
        done.retain(|done| !undone.contains(&about(done)));
        done
    }

    pub(super) fn letters(&self) -> &[u64] {
        self.rare.as_deref().map_or(&[], |rare| &rare.letters)
    }

    pub(super) fn decisions(&self) -> &[Decision] {
        self.rare.as_deref().map_or(&[], |rare| &rare.decisions)
    }

    pub(super) fn redrives(&self) -> &[Redrive] {
        self.rare.as_deref().map_or(&[], |rare| &rare.redrives)
    }

    pub(super) fn resolved(&self) -> bool {
        self.decisions().iter().any(|decision| decision.action == Action::Resolve)
    }

    /// The last redrive of an event to a reaction.
    pub(super) fn redriven(&self, service: &str, reaction: &str, on: usize) -> Option<&Redrive> {
        let to = |redrive: &&Redrive| {
            usize::from(redrive.on) == on && redrive.service == service && redrive.reaction == reaction
        };
        self.redrives().iter().rev().find(to)
    }
}

pub(super) fn time(micros: Micros) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}
