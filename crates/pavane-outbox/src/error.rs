use std::{error::Error as StdError, iter::successors, sync::Arc, time::Duration};

use pavane_contract::{EventRef, Key, SagaId, Timestamp, codec};

use crate::{bounds::days, failure};

/// Why a transaction failed. Each reads after "failed to …: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// No connection to PostgreSQL: it isn't there, or refuses this user.
    #[error("no connection to {address} within {within:?}: start PostgreSQL there, or point DATABASE_URL elsewhere")]
    NoConnection {
        /// The address, without the password.
        address: String,
        /// How long it was tried.
        within: Duration,
        /// The error of the last attempt.
        #[source]
        cause: Arc<sqlx::Error>,
    },
    /// The database is there, and the pool has no connection left.
    #[error(
        "no connection to {address} came back within {within:?}: all {size} of the pool are in use; look for transactions that \
         are held open, or give a pool on PostgreSQL more (max_connections)"
    )]
    Exhausted {
        /// Where they lead, without the password.
        address: String,
        /// How many the pool may have.
        size: u32,
        /// How long one was waited for.
        within: Duration,
    },
    /// The database didn't answer in time.
    #[error("the database did not answer within {0:?}, the database_timeout")]
    NoAnswer(Duration),
    /// A connection pooler mixes up prepared statements.
    #[error(
        "a connection pooler between here and PostgreSQL mixes up prepared statements: set max_prepared_statements to 200 in \
         PgBouncer 1.21 or newer, or use pool_mode = session"
    )]
    Pooler(#[source] sqlx::Error),
    /// A setting of the database would break a guarantee.
    #[error("the database's {setting} = {value} can't be used: {why}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what would work.
        why: String,
    },
    /// A statement failed in the transaction, and the handler went on: nothing of the transaction can be committed.
    #[error(
        "a statement of the transaction failed and the error was not passed on, so PostgreSQL keeps nothing of the \
         transaction: return the error, or run what may fail in a savepoint, tx.conn().begin()"
    )]
    Aborted,
    /// The handler committed the transaction or rolled it back by a statement of its own.
    #[error(
        "the handler ended its transaction itself, with a commit or rollback of its own: leave that to the framework; \
         for a savepoint, use tx.conn().begin()"
    )]
    Ended,
    /// A migration of the framework's tables failed.
    #[error("the framework's tables can't be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The URL is not one of a database that Pavane supports.
    #[error(
        "{0:?} is not a database URL understood here; use postgres://user:password@host/database or sqlite:file.db"
    )]
    Url(String),
    /// The reaction or entry point that emits the event doesn't declare it.
    #[error("{who} does not declare that it emits {event}: add .{method}::<…>() to its line in the wiring table")]
    Undeclared {
        /// The reaction or entry point.
        who: String,
        /// The event.
        event: EventRef,
        /// The method that declares it.
        method: &'static str,
    },
    /// A list of items is empty: what waits for every item would wait for ever.
    #[error("{who} emits {event} for each item of an empty list: {instead}")]
    NoItems {
        /// The reaction or entry point.
        who: String,
        /// The event.
        event: EventRef,
        /// What to do instead.
        instead: String,
    },
    /// A list of items is too long.
    #[error(
        "{who} emits {event} for more than {} items: split the saga, or let one event carry several",
        pavane_contract::Item::MAX
    )]
    TooManyItems {
        /// The reaction or entry point.
        who: String,
        /// The event.
        event: EventRef,
    },
    /// A transaction emits two lists of one event.
    #[error("{who} emits a second list of {event}: items are numbered, so emit all of them in one list")]
    SecondList {
        /// The reaction or entry point.
        who: String,
        /// The event.
        event: EventRef,
    },
    /// The event is cancelled, and nothing schedules it.
    #[error(
        "{who} cancels {event}, which its service never schedules: add .schedules::<…>() to the line of the wiring table that \
         sets the timer, or cancel what is scheduled"
    )]
    NeverScheduled {
        /// The reaction or entry point.
        who: String,
        /// The event.
        event: EventRef,
    },
    /// The entry point answers a question, so a transaction there names the question's saga and the person.
    #[error(
        "{who} answers {question}: begin with answer(saga, by), which finds the question and keeps who answered it"
    )]
    Answers {
        /// The entry point.
        who: String,
        /// The event that asks.
        question: EventRef,
    },
    /// The entry point answers no question.
    #[error("{0} answers no question: add .answers::<…>() to its line in the wiring table, or use begin")]
    AnswersNothing(String),
    /// The saga asked before at this entry point.
    #[error(
        "{who} emits {question}, which the saga {saga} asked before, and a question is asked once: for another one, let it emit \
         another event that an entry point of its own answers"
    )]
    AskedTwice {
        /// The reaction or entry point.
        who: String,
        /// The event that asks.
        question: EventRef,
        /// The saga.
        saga: SagaId,
    },
    /// A question was asked, and nothing was scheduled that ends the wait for an answer.
    #[error(
        "{who} emits {question}, and the saga {saga} has no timer for {expiry}: call tx.emit_after for it in the same \
         transaction, or there could be no answer"
    )]
    NeverExpires {
        /// The reaction or entry point.
        who: String,
        /// The event that asks.
        question: EventRef,
        /// The saga.
        saga: SagaId,
        /// The event that ends the wait.
        expiry: EventRef,
    },
    /// The question was not asked in the saga, or its transaction has not committed yet.
    #[error("{who} answers {question}, which the saga {saga} has not asked (yet)")]
    NotAsked {
        /// The entry point.
        who: String,
        /// The event that asks.
        question: EventRef,
        /// The saga.
        saga: SagaId,
    },
    /// The question was answered before. Of two answers at once, the one that comes second gets this.
    #[error("{question} of the saga {saga} was answered by {by:?} at {at}{}", with.as_ref().map(|with| format!(", with {with}")).unwrap_or_default())]
    Answered {
        /// The event that asks.
        question: EventRef,
        /// The saga.
        saga: SagaId,
        /// Who answered.
        by: String,
        /// When.
        at: Timestamp,
        /// The event that answered. `None` when the answer lost a decision.
        with: Option<String>,
    },
    /// The time for an answer is over: the timer has come due.
    #[error("{question} of the saga {saga} can't be answered any more: {expiry} has come due, or was cancelled")]
    Expired {
        /// The event that asks.
        question: EventRef,
        /// The saga.
        saga: SagaId,
        /// The event that ended the wait.
        expiry: EventRef,
    },
    /// The saga has an outcome, which closed the question.
    #[error("{question} of the saga {saga} can't be answered any more: the saga's outcome is {outcome}")]
    Decided {
        /// The event that asks.
        question: EventRef,
        /// The saga.
        saga: SagaId,
        /// The outcome.
        outcome: String,
    },
    /// The transaction that answers a question does not emit what it declares.
    #[error("{who} answers a question, and {what}: without an event the saga would wait for ever")]
    Unanswered {
        /// The entry point.
        who: String,
        /// What is missing, or too much.
        what: String,
    },
    /// The entry point is a step, and its undo came first: the saga is being undone. Nothing was done; the transaction must not commit.
    #[error("{who} emits {event}, and the saga {saga} is being undone: the undo for it has come already")]
    Barred {
        /// The entry point.
        who: String,
        /// The event.
        event: EventRef,
        /// The saga.
        saga: SagaId,
    },
    /// The entry point is a step, and the saga did it before: there would be two events to undo, and its undo is for one.
    #[error("{who} emits {event}, which the saga {saga} did before: what is undone happens once in a saga")]
    StepTwice {
        /// The entry point.
        who: String,
        /// The event.
        event: EventRef,
        /// The saga.
        saga: SagaId,
    },
    /// The event's key is too long for a subject.
    #[error("the key of {event} has {bytes} bytes, over the limit of {}", Key::MAX_BYTES)]
    KeyTooLong {
        /// The event.
        event: EventRef,
        /// Length of its key.
        bytes: usize,
    },
    /// The saga is older than its ledger and outcome are kept.
    #[error(
        "the saga {saga} started {} ago, and what it did is remembered for {}: decide by hand what has to be done, \
         or raise inbox_retention and relay.outcome_retention for the sagas to come",
        days(*age),
        days(*memory)
    )]
    Forgotten {
        /// The saga.
        saga: SagaId,
        /// How old it is.
        age: Duration,
        /// How long it is remembered.
        memory: Duration,
    },
    /// The event would come due after the saga's ledger and outcome may have been pruned.
    #[error(
        "{event} can't be scheduled in {}: the saga is {} old, and what it did is remembered for {}; use \
         {} at most, or raise inbox_retention and relay.outcome_retention",
        days(*delay),
        days(*age),
        days(*memory),
        days(*longest)
    )]
    TooLate {
        /// The event.
        event: EventRef,
        /// The delay that was asked for.
        delay: Duration,
        /// How old the saga is.
        age: Duration,
        /// How long it is remembered.
        memory: Duration,
        /// The longest delay that would work.
        longest: Duration,
    },
    /// The saga's id doesn't say when it started.
    #[error("the id {0} does not say when the saga started, because it is no UUIDv7: use Correlation::started_at")]
    StartUnknown(SagaId),
    /// More waits in the outbox than its limit. Nothing was written: try again when the broker is back.
    #[error("the outbox is full: {why}")]
    OutboxFull {
        /// What waits, and the limit.
        why: String,
    },
    /// A caller's transaction can't be joined on SQLite, which has no trigger that runs at the commit.
    #[error("a transaction of your own can be joined on PostgreSQL only: on SQLite let the entry point begin it")]
    NoGuest,
    /// The connection is in no transaction, so the event would be committed apart from its state change.
    #[error(
        "the connection is in no transaction that sqlx began: begin one with pool.begin() or conn.begin(), and pass it as \
         &mut *tx"
    )]
    NoTransaction,
    /// The event can't be written as JSON.
    #[error("the event can't be encoded")]
    Encode(#[from] codec::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if failure::is_aborted(&error) {
            Self::Aborted
        } else if failure::is_poolers(&error) {
            Self::Pooler(error)
        } else {
            Self::Database(error)
        }
    }
}

/// An error and its causes as one line. A cause that an error's text already has is not repeated.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    for cause in successors(error.source(), |&cause| cause.source()) {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
    }
    line
}
