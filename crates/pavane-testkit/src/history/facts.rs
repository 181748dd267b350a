//! The records, by what the laws ask for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use pavane::SagaId;
use pavane_choreography::{Declaration, Manifest};
use pavane_contract::EventId;

use super::record::{Answered, Called, Change, Emitted, GivenUp, Op, Published, Record, Row};

/// A commit: the service, and its database's number of the transaction.
pub(super) type Commit<'h> = (&'h str, i64);
/// A row of the ledger: service, saga, step, item.
pub(super) type LedgerKey<'h> = (&'h str, SagaId, &'h str, &'h str);

/// The records, by what the laws ask for.
#[derive(Debug, Default)]
pub(super) struct Facts<'h> {
    /// By service.
    pub(super) declared: BTreeMap<&'h str, &'h Declaration>,
    /// The services whose commits are recorded.
    pub(super) audited: BTreeSet<&'h str>,
    /// The events in the stream, each where it stands first.
    pub(super) published: HashMap<EventId, &'h Published>,
    /// Those of a saga.
    pub(super) of_saga: BTreeMap<SagaId, Vec<&'h Emitted>>,
    /// Events that were committed: each with its service and commit, its place in the outbox, its subject, and whether the broker
    /// refused it for good.
    pub(super) committed: HashMap<EventId, Committed<'h>>,
    /// Events that were committed a second time.
    pub(super) committed_again: Vec<&'h Emitted>,
    /// What was handled in each commit.
    pub(super) handled_in: HashMap<Commit<'h>, Vec<EventId>>,
    /// By service, reaction and event: when it was handled.
    pub(super) handled: HashMap<(&'h str, &'h str, EventId), Vec<i64>>,
    /// Timers that a commit has taken away: they were cancelled, or moved to the outbox.
    pub(super) timers_gone: HashSet<(Commit<'h>, EventId)>,
    /// The states of each row of the ledger, in their order: those that a commit left behind, with the commit's number.
    pub(super) ledger: BTreeMap<LedgerKey<'h>, Vec<(&'h str, i64)>>,
    /// How each saga ended, and where that was decided.
    pub(super) outcomes: BTreeMap<SagaId, Vec<(&'h str, &'h str)>>,
    /// What is in the tables at the end and should not stay there.
    pub(super) waiting: BTreeMap<(&'h str, String), &'h Row>,
    /// How many rows said so at any time.
    pub(super) waited: usize,
    /// When the last commit was, in microseconds since the Unix epoch.
    pub(super) now: i64,
    pub(super) letters: Vec<&'h GivenUp>,
    pub(super) called: Vec<&'h Called>,
    pub(super) answered: Vec<&'h Answered>,
}

/// An event as it was committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Committed<'h> {
    pub(super) commit: Commit<'h>,
    /// Every commit of the service with a lower number came before.
    pub(super) ended_before: i64,
    pub(super) seq: i64,
    pub(super) subject: &'h str,
    pub(super) event: &'h Emitted,
    pub(super) refused: bool,
}

impl<'h> Facts<'h> {
    pub(super) fn of(records: &'h [Record]) -> Self {
        let mut facts = Self::default();
        for record in records {
            match record {
                Record::Declared(declared) => {
                    facts.declared.insert(&declared.manifest.service, declared);
                }
                Record::Changed(change) => facts.changed(change),
                Record::Published(published) => facts.published(published),
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
        let audited = self.declared.iter().filter(|(service, _)| self.audited.contains(*service));
        audited.map(|(_, declared)| &declared.manifest)
    }

    /// Whether the reaction gave up on the event.
    pub(super) fn is_given_up(&self, service: &str, reaction: &str, event: EventId) -> bool {
        let of_it = |letter: &&&GivenUp| letter.service == service && letter.reaction == reaction;
        self.letters.iter().filter(of_it).any(|letter| letter.event.as_ref().is_some_and(|it| it.id == event))
    }

    fn published(&mut self, published: &'h Published) {
        // A message that was published again stands behind the first one, which counts.
        if self.published.insert(published.event.id, published).is_none() {
            self.of_saga.entry(published.event.saga).or_default().push(&published.event);
        }
    }

    fn changed(&mut self, change: &'h Change) {
        let Change { service, at, tx, ended_before, op, row } = change;
        let (service, commit) = (service.as_str(), (service.as_str(), *tx));
        self.audited.insert(service);
        self.now = self.now.max(*at);
        match (op, row) {
            (Op::Insert, Row::Inbox { reaction, event_id, given_up: None }) => {
                self.handled_in.entry(commit).or_default().push(*event_id);
                self.handled.entry((service, reaction, *event_id)).or_default().push(*at);
            }
            (Op::Insert | Op::Update, Row::Ledger { saga, step, item, state }) => {
                let states = self.ledger.entry((service, *saga, step, item)).or_default();
                states.pop_if(|(_, of)| of == tx);
                states.push((state, *tx));
            }
            (Op::Insert, Row::Outbox { seq, subject, refused, event }) => {
                let refused = refused.is_some();
                let (seq, ended_before) = (*seq, *ended_before);
                let committed = Committed { commit, ended_before, seq, subject, event, refused };
                if self.committed.insert(event.id, committed).is_some() {
                    self.committed_again.push(event);
                }
            }
            (Op::Update, Row::Outbox { refused: Some(_), event, .. }) => {
                if let Some(committed) = self.committed.get_mut(&event.id) {
                    committed.refused = true;
                }
            }
            (Op::Insert, Row::Outcome { saga, event }) => {
                self.outcomes.entry(*saga).or_default().push((service, event));
            }
            _ => self.waits(change),
        }
        if let (Op::Delete, Row::Timer { event_id, .. }) = (op, row) {
            self.timers_gone.insert((commit, *event_id));
        }
    }

    /// Rows that are gone when what they are for is done.
    fn waits(&mut self, change: &'h Change) {
        let key = match &change.row {
            Row::Unsent { seq } => format!("unsent {seq}"),
            Row::Timer { event_id, .. } => format!("timer {event_id}"),
            Row::Question { saga, entry, .. } => format!("question {saga} {entry}"),
            Row::DeadLetter { id, .. } => format!("letter {id}"),
            Row::Waiting { reaction, event_id, .. } => format!("waiting {reaction} {event_id}"),
            Row::Inbox { .. } | Row::Ledger { .. } | Row::Outbox { .. } | Row::Outcome { .. } => return,
        };
        let key = (change.service.as_str(), key);
        let is_done =
            matches!(&change.row, Row::Question { answered_at: Some(_), .. } | Row::DeadLetter { cut_at: Some(_), .. });
        self.waited += usize::from(change.op == Op::Insert);
        if change.op == Op::Delete || is_done {
            self.waiting.remove(&key);
        } else {
            self.waiting.insert(key, &change.row);
        }
    }
}
