//! Mistakes to plant, so that a simulation shows that it finds them.
//!
//! The framework doesn't know of them: each is made outside of it, by what stands between it and the bus, or by triggers
//! in its tables.

mod triggers;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A mistake that others have made in code like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Bug {
    /// Events are acked when they arrive.
    AckBeforeCommit,
    /// An event is remembered as handled when it arrives, beside the handler's transaction.
    DedupeBeforeEffect,
    /// What was handled before isn't acked when it comes again.
    DuplicateNotAcked,
    /// What can't be handled is neither acked nor ended.
    NeverEnded,
    /// An event is ended first, and kept as a dead letter then.
    EndedBeforeKept,
    /// A process that starts begins with new events only.
    NewEventsOnly,
    /// A redriven event has the message id that it was published with.
    RedriveUnderOldId,
    /// A redrive is believed what it says itself.
    RedriveBelieved,
    /// One duplicate in a batch fails the batch's insert.
    DuplicateFailsBatch,
    /// What the broker didn't acknowledge counts as sent.
    FireAndForget,
    /// Sent rows aren't kept.
    RowsNotKept,
    /// Sent rows are kept for ever.
    NeverPruned,
    /// Nobody looks whether the broker still has what it acknowledged.
    NeverVerified,
    /// The relay remembers only how far it got, and what was unsent before that is skipped.
    SequenceCursor,
    /// Only the process that wrote a row publishes it.
    NoSweep,
    /// A row that couldn't be published is tried again when a process starts, and only then.
    SweptAtStartOnly,
    /// What was handled is forgotten at once.
    InboxForgets,
    /// A process that starts doesn't know what was handled.
    RestartForgets,
    /// A step runs although it couldn't be entered into the ledger.
    LedgerWriteLost,
    /// What failed is tried again without a delay.
    RetriesAtOnce,
    /// What fails is tried again for ever.
    NeverGivesUp,
    /// A failed handler counts as done.
    FailedCountsAsDone,
    /// An undo doesn't wait for a step whose effect runs.
    RunningIgnored,
    /// An undo that comes before its step does nothing.
    UndoFirstIgnored,
    /// An undo that comes while a join lacks events does nothing.
    JoinNotBarred,
    /// An event that comes again counts as another one that its join waits for.
    JoinCountsDuplicates,
    /// A join runs whenever an event of it comes and all are there.
    JoinRunsAgain,
    /// What a join has so far is gone when a process starts.
    JoinForgets,
    /// An undo does nothing about the items but the first.
    ItemNotUndone,
    /// An item that comes after the undo of others starts.
    ItemNotBarred,
    /// What the first item kept for its undo is kept for the others.
    ItemKeepsAnothers,
    /// An event of an item counts as the next one's, too.
    ItemCountsTwice,
    /// An outcome doesn't stand.
    OutcomeForgotten,
    /// A question is open for longer than its expiry says.
    LateAnswer,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::AckBeforeCommit,
        Self::DedupeBeforeEffect,
        Self::DuplicateNotAcked,
        Self::NeverEnded,
        Self::EndedBeforeKept,
        Self::NewEventsOnly,
        Self::RedriveUnderOldId,
        Self::RedriveBelieved,
        Self::DuplicateFailsBatch,
        Self::FireAndForget,
        Self::RowsNotKept,
        Self::NeverPruned,
        Self::NeverVerified,
        Self::SequenceCursor,
        Self::NoSweep,
        Self::SweptAtStartOnly,
        Self::InboxForgets,
        Self::RestartForgets,
        Self::LedgerWriteLost,
        Self::RetriesAtOnce,
        Self::NeverGivesUp,
        Self::FailedCountsAsDone,
        Self::RunningIgnored,
        Self::UndoFirstIgnored,
        Self::JoinNotBarred,
        Self::JoinCountsDuplicates,
        Self::JoinRunsAgain,
        Self::JoinForgets,
        Self::ItemNotUndone,
        Self::ItemNotBarred,
        Self::ItemKeepsAnothers,
        Self::ItemCountsTwice,
        Self::OutcomeForgotten,
        Self::LateAnswer,
    ];

    /// What it is, as a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AckBeforeCommit => "events are acked when they arrive, before the commit",
            Self::DedupeBeforeEffect => "the dedupe mark is made before the handler succeeds",
            Self::DuplicateNotAcked => "a duplicate is detected but not acked",
            Self::NeverEnded => "what can't be read is neither acked nor ended",
            Self::EndedBeforeKept => "an event is ended first and kept as a dead letter second",
            Self::NewEventsOnly => "a process that starts begins with new events only",
            Self::RedriveUnderOldId => "a redrive has the old message id and is swallowed by the duplicate window",
            Self::RedriveBelieved => "a redrive's own body is handled, not the letter that it names",
            Self::DuplicateFailsBatch => "one duplicate in a batch fails the whole batch",
            Self::FireAndForget => "a publish without an acknowledgement counts as sent",
            Self::RowsNotKept => "outbox rows are deleted once acknowledged, and the broker loses its newest messages",
            Self::NeverPruned => "tables grow without bound",
            Self::NeverVerified => "nobody notices that the broker lost acknowledged messages",
            Self::SequenceCursor => "a row is skipped by a sequence cursor",
            Self::NoSweep => "only the process that wrote a row publishes it; nothing sweeps up after a crash",
            Self::SweptAtStartOnly => "rows that could not be published are published again at process start only",
            Self::InboxForgets => "the dedupe record expires before the redelivery",
            Self::RestartForgets => "a restart runs a finished saga again",
            Self::LedgerWriteLost => "the log write fails, the step runs anyway",
            Self::RetriesAtOnce => "a retry without a delay burns all attempts in milliseconds",
            Self::NeverGivesUp => "what fails is tried again with no bound",
            Self::FailedCountsAsDone => "a failed handler counts as done",
            Self::RunningIgnored => "a step that finishes after the abort is not rolled back",
            Self::UndoFirstIgnored => "an undo that arrives before its step does nothing",
            Self::JoinNotBarred => "an undo that arrives while a join lacks events does nothing",
            Self::JoinCountsDuplicates => "a join counts events, and a duplicate as another one",
            Self::JoinRunsAgain => "a join that has run runs again when one of its events comes again",
            Self::JoinForgets => "a crash loses the events that a join has so far",
            Self::ItemNotUndone => "an undo undoes one of several items",
            Self::ItemNotBarred => "an item that arrives after the undo of the others starts",
            Self::ItemKeepsAnothers => "an item is undone by what another item has kept",
            Self::ItemCountsTwice => "a join that waits for every item counts one of them as two",
            Self::OutcomeForgotten => "a completed saga is rolled back by a late timeout",
            Self::LateAnswer => "an answer counts although its question has expired",
        }
    }

    /// SQL that plants it each time that a process starts.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most mistakes are not made at the start")]
    pub(super) const fn at_start(self) -> Option<&'static str> {
        match self {
            Self::NoSweep => Some("delete from pavane_unsent"),
            Self::SweptAtStartOnly => Some(
                "insert or ignore into pavane_unsent (seq) select seq from pavane_outbox where refused is not null; \
                 update pavane_outbox set refused = null where refused is not null",
            ),
            Self::RestartForgets => Some("delete from pavane_inbox; delete from pavane_ledger"),
            Self::JoinForgets => Some(
                "delete from pavane_part where exists (select 1 from pavane_ledger as it where it.saga = pavane_part.saga \
                 and it.step = pavane_part.step and it.item = '' and it.state = 'gathering')",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What wrong code would remember.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Events by durable consumer and id.
    pub(super) arrived: BTreeSet<(String, String)>,
    pub(super) acked: BTreeSet<(String, String)>,
    /// Dead letters that were redriven, by sequence.
    pub(super) redriven: BTreeSet<u64>,
    /// Message ids by sequence in the events stream.
    pub(super) published: BTreeMap<u64, String>,
}
