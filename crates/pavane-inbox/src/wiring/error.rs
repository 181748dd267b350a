use pavane_contract::EventRef;

/// What is wrong with a wiring table. Each reads after "failed to wire the service: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name can't be part of a durable consumer's name and of subjects.
    #[error("{what} {name:?} is not a name: use lower-case letters, digits and '-', at most 64")]
    Name {
        /// What is named so: the service, a reaction, an entry point.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two reactions with one name would share one durable consumer, and two steps with one name a row of the ledger.
    #[error("two reactions or entry points are named {0:?}")]
    Twice(String),
    /// An event's name isn't `<owner>.<fact>`.
    #[error("{0} is not an event name: use <owner>.<fact> in lower-case letters, digits, '-' and '_'")]
    EventName(EventRef),
    /// The event belongs to another service.
    #[error("{who} emits {event}, which belongs to {owner:?}: a service emits only its own events")]
    Foreign {
        /// The reaction or entry point.
        who: String,
        /// The event.
        event: EventRef,
        /// The service that owns it.
        owner: String,
    },
    /// One reaction has two handlers for one event.
    #[error("{name:?} has two handlers for {event}")]
    TwoHandlers {
        /// The reaction.
        name: String,
        /// The event.
        event: EventRef,
    },
    /// One event would be two parts of a join.
    #[error("the join {name:?} waits for {event} in two parts: one event can be one part only")]
    TwoParts {
        /// The reaction.
        name: String,
        /// The event.
        event: EventRef,
    },
    /// Not exactly one reaction or entry point of this service emits the event that the undo is for.
    #[error(
        "the undo {undo:?} undoes {event}, which {steps} of this service's reactions and entry points emit: it must be exactly one"
    )]
    NoStep {
        /// The undo.
        undo: String,
        /// The event that it undoes.
        event: EventRef,
        /// How many emit it.
        steps: usize,
    },
    /// An event that a step schedules is not kept for its undo.
    #[error(
        "the step {step:?} schedules {event}, which the undo {undo:?} is for: only what a step emits at once is kept \
         for its undo. Emit it with .emits::<…>(), or from a reaction that runs when the time has come"
    )]
    UndoOfScheduled {
        /// The step.
        step: String,
        /// Its undo.
        undo: String,
        /// The event.
        event: EventRef,
    },
    /// A list that an entry point emits is several events, and its undo is for one.
    #[error(
        "the entry point {entry:?} emits a list of {event}, which the undo {undo:?} is for: let a reaction take Each<…> of it, and undo \
         what that reaction emits"
    )]
    UndoOfList {
        /// The entry point.
        entry: String,
        /// Its undo.
        undo: String,
        /// The event of the list.
        event: EventRef,
    },
    /// A question that the service never asks.
    #[error(
        "the entry point {entry:?} answers {event}, which no other line of this wiring table emits at once: add .emits::<…>() to the \
         reaction or entry point that asks"
    )]
    NeverAsked {
        /// The entry point.
        entry: String,
        /// The event that asks.
        event: EventRef,
    },
    /// A failure event, an outcome and a scheduled event can't be questions.
    #[error(
        "{who:?} names {event} in .{method}, but the entry point {entry:?} answers it, and only .emits, .emits_one_of and .may_emit \
         ask a question: name another event there, and let a reaction to it ask"
    )]
    AskedWrongly {
        /// The reaction or entry point.
        who: String,
        /// The event that asks.
        event: EventRef,
        /// The method of the wiring table that names it.
        method: &'static str,
        /// The entry point that answers.
        entry: String,
    },
    /// A question whose time for an answer would never end.
    #[error(
        "{who:?} emits {event}, which expires with {expiry}, and does not schedule that: add .schedules::<…>() to its line, and call \
         tx.emit_after where it asks"
    )]
    NeverExpires {
        /// The reaction or entry point that asks.
        who: String,
        /// The event that asks.
        event: EventRef,
        /// The event that ends the wait.
        expiry: EventRef,
    },
    /// A question is answered at one entry point, or two people could answer it differently.
    #[error(
        "{event} is answered by two entry points, {first:?} and {second:?}: let one of them emit one of several events"
    )]
    TwoAnswers {
        /// The event that asks.
        event: EventRef,
        /// One of the entry points.
        first: String,
        /// The other.
        second: String,
    },
    /// An answer without an event would close the question, and let the saga wait for ever.
    #[error(
        "the entry point {0:?} answers a question, and may emit nothing: add .emits_one_of::<(…)>() with an event for each answer"
    )]
    NoAnswer(String),
    /// What outlives the outcome is scheduled somewhere.
    #[error(
        "{0} outlives the outcome, but nothing schedules it: add .schedules::<…>() where its timer is set, or leave it out"
    )]
    NeverScheduled(EventRef),
    /// Nothing is emitted in place of a list that isn't declared.
    #[error(
        "{0:?} says .or_if_none::<…>() without a list: write it directly after the .emits_each::<…>() that may be empty"
    )]
    OrIfNone(String),
    /// An item has no items, no timers and no questions.
    #[error(
        "{name:?} runs for each item and names {event} in .{method}: a saga has one list, timer and question of a name. Let a reaction \
         that takes &Envelope<…> or Every<…> do that"
    )]
    PerItem {
        /// The reaction.
        name: String,
        /// The event.
        event: EventRef,
        /// The method of the wiring table that names it.
        method: &'static str,
    },
    /// The undo's argument doesn't fit its step.
    #[error("the undo {undo:?} must take {wanted}, as its step {step:?} does")]
    UndoOfItems {
        /// The undo.
        undo: String,
        /// The step.
        step: String,
        /// What the undo's handler takes.
        wanted: &'static str,
    },
    /// An undo can wait for another undo of its service only.
    #[error(
        "the undo {undo:?} comes after the undo of {event}, but no other step of this service that emits it has an undo: name the \
         event of such a step, or remove .after_undo_of::<…>()"
    )]
    AfterNothing {
        /// The undo that waits.
        undo: String,
        /// The event.
        event: EventRef,
    },
    /// Undos that wait for each other would wait for ever.
    #[error(
        "the undo {0:?} comes after itself, by the .after_undo_of::<…>() of the undos that it waits for: break the circle"
    )]
    UndosInCircle(String),
    /// A step has one ledger row, so it can have one undo.
    #[error("the step {step:?} has two undos, {first:?} and {second:?}")]
    TwoUndos {
        /// The step.
        step: String,
        /// One of its undos.
        first: String,
        /// The other.
        second: String,
    },
    /// An effect that can be undone can't give up: nobody knows whether it happened.
    #[error(
        "{0:?} calls an effect that can be undone, so it can't give up: whether the effect happened is not known. \
         Remove .gives_up_with(…); the event is kept as a dead letter, and the saga's deadline ends the wait"
    )]
    UnknownOutcome(String),
    /// The failure event is made from an event that the reaction doesn't run on.
    #[error("{name:?} gives up on {event}, but has no handler for it")]
    GivesUpOnOther {
        /// The reaction.
        name: String,
        /// The event.
        event: EventRef,
    },
    /// A setting would break a guarantee.
    #[error("{name:?} has {setting} = {value}: use {instead}")]
    Setting {
        /// The reaction.
        name: String,
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What would work.
        instead: &'static str,
    },
}
