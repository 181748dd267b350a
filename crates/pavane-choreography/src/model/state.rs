//! A state of one saga, as small as it can be: there will be many.

use std::cmp::Reverse;

use crate::ledger;

/// Index of an event in the model.
pub(crate) type EventIx = u16;
/// Index of a delivery: one event to one reaction.
pub(crate) type SlotIx = u16;

/// Where everything stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// By slot.
    pub(crate) deliveries: Box<[Delivery]>,
    /// By step.
    pub(crate) rows: Box<[Row]>,
    /// How often an event is scheduled and not due yet, by event.
    pub(crate) timers: Box<[u8]>,
    /// Which services decided, by service.
    pub(crate) decided: Box<[bool]>,
    /// Whether what an actor may do once, or never, was done: an entry point.
    pub(crate) used: Box<[Used]>,
    /// A completing outcome was emitted.
    pub(crate) completed: bool,
    /// An aborting outcome was emitted.
    pub(crate) aborted: bool,
    /// Which steps were given a second event, by step.
    pub(crate) refused: Box<[bool]>,
}

impl State {
    /// Grows with every move: nothing that happened unhappens. That is why runs can't go in circles.
    pub(crate) fn age(&self) -> (usize, Reverse<usize>) {
        let handled: usize = self.deliveries.iter().map(|one| usize::from(one.handled)).sum();
        let begun = self.rows.iter().filter(|row| !matches!(row.state, None | Some(ledger::State::Gathering))).count();
        let used = self.used.iter().filter(|used| matches!(used, Used::Yes | Used::Closed | Used::Never)).count();
        let timers = self.timers.iter().map(|timer| usize::from(*timer)).sum();
        (handled + begun + used, Reverse(timers))
    }
}

/// Whether something happened that may happen once, or never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Used {
    #[default]
    NotYet,
    /// It answers a question that was not asked.
    NotAsked,
    Yes,
    /// An outcome ended the wait for the answer.
    Closed,
    /// It was said that it never will. Only a reduced search says so.
    Never,
}

/// Deliveries of one kind that are told apart. It is more than a sound saga has, so that what goes round in a circle is noticed.
pub(crate) const DELIVERIES_MAX: u8 = 15;

/// One event on its way to one reaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Delivery {
    /// How many of it wait.
    pub(crate) waiting: u8,
    /// How many of it are handled, and in the inbox.
    pub(crate) handled: u8,
}

impl Delivery {
    pub(crate) fn emitted(self) -> u8 {
        self.waiting + self.handled
    }
}

/// A step's row in the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) state: Option<ledger::State>,
    /// The event that stands for what is done, or may be, or the one that a join takes instead.
    pub(crate) kept: Option<EventIx>,
    /// What it runs or ran on. Of a join only as long as it runs; while it gathers, that its last event was lost.
    pub(crate) by: Option<SlotIx>,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Move {
    /// A waiting delivery is handled, with one of the answers that the reaction may choose.
    Deliver(SlotIx, u16),
    /// A handled delivery comes again.
    Again(SlotIx),
    /// The reaction gives up on a waiting delivery.
    GiveUp(SlotIx),
    /// A scheduled event is due.
    Due(EventIx),
    /// An entry point, by actor, is used, with one of its answers.
    Use(u16, u16),
    /// An actor never does what it may do once. Nothing follows from it; only a reduced search needs to be told.
    Never(u16),
}

impl Move {
    /// Whether it must happen some time; the others may.
    pub(crate) fn must_happen(self) -> bool {
        matches!(self, Self::Deliver(..) | Self::Due(_))
    }
}
