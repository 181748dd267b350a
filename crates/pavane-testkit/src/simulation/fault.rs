use std::{collections::BTreeMap, fmt};

/// A kind of fault, to count how often it happened.
///
/// What the bus does is counted as the services see it: whether a message or its acknowledgement got lost, and why an event
/// comes again, they don't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A process died at a crash point.
    Crash,
    /// A process died between two steps.
    Kill,
    /// A process stood still in the middle of a step, while others worked.
    Standstill,
    /// A request over the network got lost.
    LostRequest,
    /// An answer got lost, after the request was done.
    LostAnswer,
    /// A publish had no answer.
    UnansweredPublish,
    /// An event was delivered again.
    Redelivery,
    /// An event came after a later one.
    Overtaking,
    /// The broker lost the newest messages that it had acknowledged.
    Rollback,
    /// The broker was away.
    Outage,
    /// A durable consumer was deleted on the broker.
    LostConsumer,
    /// Somebody interfered with a saga.
    Interlude,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Crash,
        Self::Kill,
        Self::Standstill,
        Self::LostRequest,
        Self::LostAnswer,
        Self::UnansweredPublish,
        Self::Redelivery,
        Self::Overtaking,
        Self::Rollback,
        Self::Outage,
        Self::LostConsumer,
        Self::Interlude,
    ];

    /// What several of them are called.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Crash => "crashes",
            Self::Kill => "kills",
            Self::Standstill => "standstills",
            Self::LostRequest => "requests lost",
            Self::LostAnswer => "answers lost",
            Self::UnansweredPublish => "publishes without an answer",
            Self::Redelivery => "redeliveries",
            Self::Overtaking => "deliveries out of order",
            Self::Rollback => "rollbacks of the broker",
            Self::Outage => "outages of the broker",
            Self::LostConsumer => "consumers lost",
            Self::Interlude => "interludes",
        }
    }
}

/// How often each kind of fault happened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally(BTreeMap<Fault, u64>);

impl Tally {
    /// How often one kind happened.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0.get(&fault).copied().unwrap_or_default()
    }

    pub(super) fn count(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (fault, times) in &other.0 {
            *self.0.entry(*fault).or_default() += times;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (fault, times) in &self.0 {
            write!(f, "{separator}{times} {}", fault.plural())?;
            separator = ", ";
        }
        if self.0.is_empty() { write!(f, "no faults") } else { Ok(()) }
    }
}
