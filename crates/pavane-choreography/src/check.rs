//! Static checks: mistakes in a choreography that can be found without running it.

mod ends;
mod flow;
mod items;
mod join;
mod pivot;
mod question;
mod undo;

use std::fmt;

use pavane_contract::EventRef;

use crate::{
    Choreography, Saga,
    graph::{Actor, Graph, Way},
    items::Items,
};

/// A rule of the static checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// No saga is declared, so there is nothing to prove.
    NoSaga,
    /// A saga's start, completion or longest duration isn't declared.
    IncompleteSaga,
    /// Two services, or two reactions or entry points of one service, have the same name.
    SameName,
    /// An event is emitted by a service that doesn't own it.
    ForeignEvent,
    /// An event that no reaction consumes and that isn't declared terminal.
    Unconsumed,
    /// An event that a reaction runs on, or that a saga declares, and that nothing emits.
    Unemitted,
    /// A reaction or an undo that nothing triggers, or a join of which a part can't come.
    Untriggered,
    /// A declared group without events: the reaction can never emit one of it.
    EmptyEmission,
    /// A step without an undo, although the saga can fail after it.
    MissingUndo,
    /// An undo of an event that no forward reaction of the same service emits.
    UndoOfNothing,
    /// An undo and a step that don't belong to each other one to one.
    AmbiguousUndo,
    /// An undo, or a step with an effect, that declares a failure event.
    CannotGiveUp,
    /// A step whose success no reaction waits for.
    UnusedSuccess,
    /// A reaction that can fail when the saga has completed already.
    FailsAfterCompletion,
    /// An undo of a step that runs only when the saga can't abort any more.
    NeverUndone,
    /// A cycle that nothing stops.
    Cycle,
    /// A wait that no deadline ends.
    NoDeadline,
    /// A service that decides a saga and has one outcome for it only.
    OneOutcome,
    /// An end of a saga that is emitted without being decided.
    NotDecided,
    /// Two services that each decide the same saga.
    TwoDeciders,
    /// A join of two events of which only one can come.
    ExclusiveParts,
    /// A question that its service does not ask, or asks with a failure event, an outcome or a timer, or of which the time to answer
    /// never begins.
    Unanswerable,
    /// A question that stays open for ever.
    NeverExpires,
    /// A question that expires, and nothing follows from that.
    ExpiryUnused,
    /// An undo that waits for the undo of something that its service does not undo.
    AfterNothing,
    /// Undos that wait for one another.
    UndosInCircle,
    /// A reaction for each item, or a wait for every one, on an event that has no items.
    NoItems,
    /// A step, an effect, an undo or a part of a join that takes one item of several.
    ItemAsOne,
    /// An event that is emitted with items here, and without them or with those of another list there.
    ItemsHereAndThere,
    /// A list, a timer or a question of an item.
    OfAnItem,
}

impl Rule {
    /// The mistake in words.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoSaga => "no saga is declared",
            Self::IncompleteSaga => "the saga's declaration is incomplete",
            Self::SameName => "the name is taken twice",
            Self::ForeignEvent => "the service emits an event that it does not own",
            Self::Unconsumed => "nobody consumes the event",
            Self::Unemitted => "nobody emits the event",
            Self::Untriggered => "nothing triggers the reaction",
            Self::EmptyEmission => "the reaction declares an answer with no event in it",
            Self::MissingUndo => "nothing undoes the step if the saga fails after it",
            Self::UndoOfNothing => "the undo is for an event that no step of its service emits",
            Self::AmbiguousUndo => "the undo does not belong to exactly one step",
            Self::CannotGiveUp => "its failure event would say that nothing happened, and nobody knows that",
            Self::UnusedSuccess => "the saga can complete without waiting for the step",
            Self::FailsAfterCompletion => "it can fail although the saga has completed by then",
            Self::NeverUndone => "the undo never runs, as the saga has completed when its step runs",
            Self::Cycle => "the reactions can go round for ever",
            Self::NoDeadline => "no deadline ends the wait",
            Self::OneOutcome => "the service can decide one outcome only",
            Self::NotDecided => "the saga's end is emitted without being decided",
            Self::TwoDeciders => "two services decide the same saga",
            Self::ExclusiveParts => "two parts of the join exclude one another",
            Self::Unanswerable => "nobody can ever answer the question",
            Self::NeverExpires => "nothing ends the wait for the answer",
            Self::ExpiryUnused => "the question expires, and the saga does not end by that",
            Self::AfterNothing => "the undo waits for the undo of something that its service does not undo",
            Self::UndosInCircle => "the undos wait for one another",
            Self::NoItems => "the reaction waits for items of an event that has none",
            Self::ItemAsOne => "the event has items, and all but the first would be refused",
            Self::ItemsHereAndThere => "the event does not have the same items wherever it is emitted",
            Self::OfAnItem => "an item can't have a list, a timer or a question of its own",
        }
    }
}

/// A mistake in a choreography.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// The broken rule.
    pub rule: Rule,
    /// The saga in which it was found; `None` when it belongs to no single one.
    pub saga: Option<String>,
    /// The service that has to change. Empty when that isn't known.
    pub service: String,
    /// The reaction, undo or entry point. Empty when there is none.
    pub reaction: String,
    /// The event.
    pub event: Option<EventRef>,
    /// The way to it: events and `service/reaction` in turn. Empty when there is none to show.
    pub path: Vec<String>,
    /// What would correct it.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rule.message())?;
        let actor = [self.service.as_str(), self.reaction.as_str()];
        let actor: Vec<&str> = actor.into_iter().filter(|name| !name.is_empty()).collect();
        if !actor.is_empty() {
            write!(f, "\n  who:   {}", actor.join("/"))?;
        }
        if let Some(event) = &self.event {
            write!(f, "\n  event: {event}")?;
        }
        if let Some(saga) = &self.saga {
            write!(f, "\n  saga:  {saga}")?;
        }
        if !self.path.is_empty() {
            write!(f, "\n  path:  {}", self.path.join(" → "))?;
        }
        write!(f, "\n  mend:  {}", self.mend)
    }
}

impl Finding {
    fn new(rule: Rule, mend: impl Into<String>) -> Self {
        Self {
            rule,
            saga: None,
            service: String::new(),
            reaction: String::new(),
            event: None,
            path: Way::new(),
            mend: mend.into(),
        }
    }

    fn at(mut self, actor: Actor<'_>) -> Self {
        actor.service().clone_into(&mut self.service);
        actor.name().clone_into(&mut self.reaction);
        self
    }

    fn event(mut self, event: &EventRef) -> Self {
        self.event = Some(event.clone());
        self
    }

    fn saga(mut self, saga: &Saga) -> Self {
        self.saga = Some(saga.name.clone());
        self
    }

    fn path(mut self, path: Way) -> Self {
        self.path = path;
        self
    }
}

/// The input of every check.
struct Subject<'a> {
    graph: Graph<'a>,
    items: Items<'a>,
    sagas: &'a [Saga],
}

impl Subject<'_> {
    /// The shortest way from the start of any saga to `event`.
    fn way_to(&self, event: &EventRef) -> Way {
        let ways = self.sagas.iter().map(|saga| self.graph.way_from_start(saga, event));
        ways.filter(|way| !way.is_empty()).min_by_key(Vec::len).unwrap_or_default()
    }
}

pub(crate) fn all(choreography: &Choreography) -> Vec<Finding> {
    let items = Items::of(choreography.manifests());
    let subject = Subject { graph: choreography.graph(), items, sagas: choreography.sagas() };
    let mut findings = ends::check(&subject, choreography.manifests());
    findings.extend(undo::check(&subject));
    findings.extend(flow::check(&subject));
    findings.extend(pivot::check(&subject));
    findings.extend(join::check(&subject));
    findings.extend(question::check(&subject));
    findings.extend(items::check(&subject));
    findings.sort();
    findings.dedup();
    findings
}
