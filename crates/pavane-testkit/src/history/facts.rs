//! The records, by what the laws ask for.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use pavane::SagaId;
use pavane_choreography::{Declaration, Manifest};
use pavane_contract::{EventId, EventRef};

use super::record::{Answered, Audited, Called, Change, Emitted, GivenUp, Op, Published, Record, Row, Unreadable};

/// A commit: the service, and its database's number of the transaction.
pub(super) type Commit<'h> = (&'h str, i64);
/// A row of the ledger: service, saga, step, item.
pub(super) type LedgerKey<'h> = (&'h str, SagaId, &'h str, &'h str);

/// The records, by what the laws ask for.
#[derive(Debug, Default)]
pub(super) struct Facts<'h> {
    /// By service.
    pub(super) declared: BTreeMap<&'h str, &'h Declaration>,
    /// The services whose commits are recorded, and when they were read, by the clock of their databases.
    pub(super) audited: BTreeMap<&'h str, i64>,
    /// How many rows of each service are recorded.
    pub(super) changes: BTreeMap<&'h str, usize>,
    /// The events in the stream, each where it stands first.
    pub(super) published: HashMap<EventId, &'h Published>,
    /// Those that stand there again.
    pub(super) published_again: Vec<&'h Published>,
    /// Those of a saga.
    pub(super) of_saga: BTreeMap<SagaId, Vec<&'h Emitted>>,
    /// Events that were committed.
    pub(super) committed: HashMap<EventId, Committed<'h>>,
    /// Events that were committed a second time.
    pub(super) committed_again: Vec<&'h Emitted>,
    /// What was emitted in each commit, by what caused it.
    pub(super) emitted_in: HashMap<(Commit<'h>, EventId), Vec<&'h EventRef>>,
    /// What was handled in each commit.
    pub(super) handled_in: HashMap<Commit<'h>, Vec<EventId>>,
    /// By service, reaction and event: the commit that handled it, and when. A row that the inbox moves keeps its time.
    pub(super) handled: HashMap<(&'h str, &'h str, EventId), BTreeMap<i64, Commit<'h>>>,
    /// By service, reaction and event: what was given up on at any time.
    pub(super) given_up: HashSet<(&'h str, &'h str, EventId)>,
    /// Timers that a commit has taken away: they were cancelled, or moved to the outbox.
    pub(super) timers_gone: HashSet<(Commit<'h>, EventId)>,
    /// The states that each row of the ledger came into, in their order, as commits left them. Empty: the row is gone.
    pub(super) ledger: BTreeMap<LedgerKey<'h>, Vec<(&'h str, i64)>>,
    /// Steps that came into a state in a commit.
    pub(super) came_into: HashSet<(Commit<'h>, SagaId, &'h str, &'h str)>,
    /// How each saga ended, and where that was decided.
    pub(super) outcomes: BTreeMap<SagaId, Vec<Decided<'h>>>,
    /// What is in the tables at the end and should not stay there.
    pub(super) waiting: BTreeMap<(&'h str, String), &'h Change>,
    /// How many rows said so at any time.
    pub(super) waited: usize,
    pub(super) letters: Vec<&'h GivenUp>,
    pub(super) unreadable: Vec<&'h Unreadable>,
    pub(super) called: Vec<&'h Called>,
    pub(super) answered: Vec<&'h Answered>,
}

/// An event as it was committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Committed<'h> {
    pub(super) commit: Commit<'h>,
    /// As it was written.
    pub(super) change: &'h Change,
    /// Its place in the outbox.
    pub(super) seq: i64,
    pub(super) subject: &'h str,
    pub(super) event: &'h Emitted,
    /// The broker will never take it, unless somebody has it tried again.
    pub(super) refused: bool,
    /// It was refused once: others may have gone before it since.
    pub(super) was_refused: bool,
}

/// How a saga ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decided<'h> {
    pub(super) commit: Commit<'h>,
    /// As it was written.
    pub(super) change: &'h Change,
    pub(super) event: &'h str,
}

impl<'h> Facts<'h> {
    pub(super) fn of(records: &'h [Record]) -> Self {
        let mut facts = Self::default();
        for record in records {
            match record {
                Record::Declared(declared) => {
                    facts.declared.insert(&declared.manifest.service, declared);
                }
                Record::Audited(Audited { service, read_at }) => {
                    facts.audited.insert(service, *read_at);
                }
                Record::Changed(change) => facts.changed(change),
                Record::Published(published) => facts.published(published),
                Record::Unreadable(unreadable) => facts.unreadable.push(unreadable),
                Record::GivenUp(letter) => facts.letters.push(letter),
                Record::Called(called) => facts.called.push(called),
                Record::Answered(answered) => facts.answered.push(answered),
                Record::Disturbed(_) => {}
            }
        }
        facts
    }

    /// The manifests of the services whose commits are recorded.
    pub(super) fn manifests(&self) -> impl Iterator<Item = &'h Manifest> {
        let audited = self.declared.iter().filter(|(service, _)| self.audited.contains_key(*service));
        audited.map(|(_, declared)| &declared.manifest)
    }

    /// The events of a saga.
    pub(super) fn events_of(&self, saga: SagaId) -> &[&'h Emitted] {
        self.of_saga.get(&saga).map_or(&[], Vec::as_slice)
    }

    /// Whether the reaction gave up on the event.
    pub(super) fn is_given_up(&self, service: &str, reaction: &str, event: EventId) -> bool {
        let of_it = |letter: &&&GivenUp| letter.service == service && letter.reaction == reaction;
        self.letters.iter().filter(of_it).any(|letter| letter.event.as_ref().is_some_and(|it| it.id == event))
    }

    fn published(&mut self, published: &'h Published) {
        // A message that was published again stands behind the first one, which counts.
        match self.published.entry(published.event.id) {
            Entry::Vacant(first) => {
                first.insert(published);
                self.of_saga.entry(published.event.saga).or_default().push(&published.event);
            }
            Entry::Occupied(_) => self.published_again.push(published),
        }
    }

    fn changed(&mut self, change: &'h Change) {
        let Change { service, tx, op, row, .. } = change;
        let commit = (service.as_str(), *tx);
        *self.changes.entry(service).or_default() += 1;
        match row {
            Row::Inbox { reaction, event_id, handled_at, given_up: None } if *op != Op::Delete => {
                self.handled_in.entry(commit).or_default().push(*event_id);
                let handled = self.handled.entry((service, reaction, *event_id)).or_default();
                handled.entry(*handled_at).or_insert(commit);
            }
            Row::Inbox { reaction, event_id, given_up: Some(_), .. } => {
                self.given_up.insert((service, reaction, *event_id));
            }
            Row::Ledger { .. } => self.ledger(change),
            Row::Outbox { seq, subject, refused, event } if *op == Op::Insert => {
                let (refused, seq) = (refused.is_some(), *seq);
                let committed = Committed { commit, change, seq, subject, event, refused, was_refused: refused };
                if self.committed.insert(event.id, committed).is_some() {
                    self.committed_again.push(event);
                }
                if let Some(cause) = event.cause {
                    self.emitted_in.entry((commit, cause)).or_default().push(&event.event);
                }
            }
            Row::Outbox { refused, event, .. } if *op == Op::Update => {
                if let Some(committed) = self.committed.get_mut(&event.id) {
                    committed.refused = refused.is_some();
                    committed.was_refused = true;
                }
            }
            Row::Outcome { saga, event } if *op == Op::Insert => {
                let decided = Decided { commit, change, event };
                self.outcomes.entry(*saga).or_default().push(decided);
            }
            Row::Unsent { seq } => self.waits(change, format!("unsent {seq}"), false),
            Row::Timer { event_id, .. } => {
                if *op == Op::Delete {
                    self.timers_gone.insert((commit, *event_id));
                }
                self.waits(change, format!("timer {event_id}"), false);
            }
            Row::DeadLetter { id, cut_at, .. } => self.waits(change, format!("letter {id}"), cut_at.is_some()),
            Row::Waiting { reaction, event_id, .. } => {
                self.waits(change, format!("waiting {reaction} {event_id}"), false);
            }
            Row::Inbox { .. } | Row::Outbox { .. } | Row::Outcome { .. } => {}
        }
    }

    /// Of several states in one commit, the last one counts. A row that is written again as it is has come into no state.
    fn ledger(&mut self, change: &'h Change) {
        let Change { service, tx, op, row: Row::Ledger { saga, step, item, state }, .. } = change else { return };
        let state = if *op == Op::Delete { "" } else { state.as_str() };
        let states = self.ledger.entry((service, *saga, step, item)).or_default();
        if *op == Op::Update && states.last().is_some_and(|(last, _)| *last == state) {
            return;
        }
        states.pop_if(|(_, of)| of == tx);
        states.push((state, *tx));
        self.came_into.insert(((service, *tx), *saga, step, state));
    }

    /// Rows that are gone when what they are for is done.
    fn waits(&mut self, change: &'h Change, what: String, is_done: bool) {
        let key = (change.service.as_str(), what);
        self.waited += usize::from(change.op == Op::Insert);
        if change.op == Op::Delete || is_done {
            self.waiting.remove(&key);
        } else {
            // Where it was first.
            self.waiting.entry(key).or_insert(change);
        }
    }
}
