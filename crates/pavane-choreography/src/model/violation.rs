use std::{fmt, iter};

use pavane_contract::EventRef;

use super::{List, compile::Model, search::Found, shorten::shorten, story::Story};
use crate::{diagram::Sequence, items::Sizes};

/// A way in which a saga can go wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViolationKind {
    /// Both a completing and an aborting outcome were emitted.
    #[error("it is completed and aborted, both")]
    BothOutcomes,
    /// Nothing happens any more, and the saga has no outcome.
    #[error("it never ends: nothing happens any more, and nobody decided{}", lacking(gathering))]
    NoOutcome {
        /// The joins that have some of their parts, and what they wait for.
        gathering: Vec<String>,
    },
    /// The saga is completed, but not each step is done.
    #[error("it is completed, but not every step is done: {}", steps.join(", "))]
    CompletedWithout {
        /// `service/reaction` of each such step, and its state in the ledger.
        steps: Vec<String>,
    },
    /// The saga is aborted, but a step that is done stays so.
    #[error("it is aborted, but not every step is undone: {}", steps.join(", "))]
    NotUndone {
        /// `service/reaction` of each such step, and its state in the ledger.
        steps: Vec<String>,
    },
    /// A delivery waits for something that can't come.
    #[error("it never ends: {}", waits(waiting))]
    WaitsForEver {
        /// The reactions, and what each waits for.
        waiting: Vec<String>,
    },
    /// A step is given a second event, which becomes a dead letter.
    #[error("{step} is given a second event: a step runs once in a saga, so it becomes a dead letter")]
    StepTwice {
        /// `service/reaction` of the step.
        step: String,
    },
    /// An event is emitted over and over.
    #[error("it never ends: {event} is emitted over and over")]
    Endless {
        /// The event.
        event: EventRef,
    },
    /// No run completes.
    #[error("no run of it completes")]
    NeverCompletes,
    /// No run aborts, though outcomes that abort are declared.
    #[error("no run of it aborts")]
    NeverAborts,
    /// There are too many states to look at each.
    #[error("it was not checked: it has more than {limit} states that differ{}", split(side_by_side))]
    TooManyStates {
        /// How many were looked at.
        limit: usize,
        /// `service/reaction` of those that may each come before or after the others, where these are most.
        side_by_side: Vec<String>,
    },
    /// There are too many lists to look at each combination of their sizes.
    #[error(
        "it was not checked: its lists have more than {limit} combinations of no, 1 and 2 items: {}; split some of them off into \
         sagas of their own",
        lists.join(", ")
    )]
    TooManyLists {
        /// How many combinations would have been looked at.
        limit: usize,
        /// The events that the lists consist of.
        lists: Vec<String>,
    },
}

/// A saga that can go wrong, with a run in which it does: the shortest one, unless the saga is too large to look for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The saga's name.
    pub saga: String,
    /// What goes wrong.
    pub kind: ViolationKind,
    /// The counterexample. Without messages when the violation isn't one of a single run.
    pub sequence: Box<Sequence>,
    /// States explored until it was found.
    pub states: usize,
    /// How many items the saga's lists had. Empty for a saga without lists.
    pub lists: Vec<List>,
}

impl Violation {
    pub(super) fn of(model: &Model, saga: &str, found: Found) -> Self {
        let found = shorten(model, found);
        let mut story = Story::new(model);
        for step in found.moves {
            story.play(step);
        }
        let mut sequence = story.end();
        if !sequence.is_empty() {
            sequence.note_end(&found.kind.to_string());
        }
        let sequence = Box::new(sequence);
        Self { saga: saga.to_owned(), kind: found.kind, sequence, states: found.states, lists: Vec::new() }
    }

    pub(super) fn of_too_many_lists(saga: &str, limit: usize, lists: &[EventRef]) -> Self {
        let lists = lists.iter().map(|event| event.name.clone()).collect();
        let kind = ViolationKind::TooManyLists { limit, lists };
        let sequence = Box::new(Sequence::between(iter::empty()));
        Self { saga: saga.to_owned(), kind, sequence, states: 0, lists: Vec::new() }
    }

    /// Says how many items the lists had.
    pub(super) fn with(mut self, sizes: &Sizes) -> Self {
        let list = |(event, size): (&EventRef, usize)| List { event: event.clone(), sizes: vec![size] };
        self.lists = sizes.iter().map(list).collect();
        if !self.lists.is_empty() && !self.sequence.is_empty() {
            self.sequence.note_end(&format!("with {}", super::names(&self.lists)));
        }
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "saga {}", self.saga)?;
        if !self.lists.is_empty() {
            write!(f, ", with {}", super::names(&self.lists))?;
        }
        write!(f, ": {}", self.kind)?;
        if !self.sequence.is_empty() {
            write!(f, "\n\n{}\n```mermaid\n{}```", self.sequence.text(), self.sequence.mermaid())?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}

fn split(side_by_side: &[String]) -> String {
    if side_by_side.len() < 2 {
        return "; split it into sagas that follow one another".to_owned();
    }
    format!(
        ", because each of these may come before or after the others: {}; let some of them follow one another, or split them \
         off into sagas of their own",
        side_by_side.join(", ")
    )
}

fn lacking(gathering: &[String]) -> String {
    gathering.iter().flat_map(|join| ["; ", join]).collect()
}

fn waits(waiting: &[String]) -> String {
    waiting.iter().map(|one| format!("{one} waits for ever")).collect::<Vec<_>>().join(", ")
}
