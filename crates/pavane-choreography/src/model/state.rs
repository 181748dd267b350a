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
    /// Which entry points were used, by actor.
    pub(crate) used: Box<[bool]>,
    /// A completing outcome was emitted.
    pub(crate) completed: bool,
    /// An aborting outcome was emitted.
    pub(crate) aborted: bool,
    /// A step was given a second event.
    pub(crate) refused: Option<SlotIx>,
}

impl State {
    /// Grows with every move: nothing that happened unhappens. That is why runs can't go in circles.
    pub(crate) fn age(&self) -> (usize, Reverse<usize>) {
        let handled: usize = self.deliveries.iter().map(|one| usize::from(one.handled)).sum();
        let begun = self.rows.iter().filter(|row| row.state.is_some()).count();
        let used = self.used.iter().filter(|used| **used).count();
        let timers = self.timers.iter().map(|timer| usize::from(*timer)).sum();
        (handled + begun + used, Reverse(timers))
    }
}

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
        self.waiting.saturating_add(self.handled)
    }
}

/// A step's row in the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) state: Option<ledger::State>,
    /// The event that stands for what is done, or may be.
    pub(crate) kept: Option<EventIx>,
    /// What it runs or ran on.
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
}

impl Move {
    /// Whether it must happen some time; the others may.
    pub(crate) fn must_happen(self) -> bool {
        matches!(self, Self::Deliver(..) | Self::Due(_))
    }
}
