//! Events in a transaction that the user began and commits.

mod store;

use std::time::Duration;

use pavane_contract::{Cause, Event, EventRef, RawEnvelope, SagaId};
use sqlx_core::transaction::TransactionManager as _;

use crate::{
    Correlation, Database, Db, Decision, Dialect, Emissions, Error,
    db::micros,
    draft,
    question::{self, NewQuestion},
    step,
};

/// Emits in a transaction that you began and commit. `PostgreSQL` only.
///
/// Each event is written to a staging table at once, in your transaction. A deferred constraint trigger moves it to the outbox
/// at your commit. So there is nothing to call at the end: commit, and the events are published; roll back, also to a
/// savepoint, and they are gone.
///
/// Your commit does not wake the relay. An event waits until the relay polls, at most
/// [`poll_max`](crate::relay::Config::poll_max); where that is too long, wake the relay after the commit.
///
/// The guest borrows the connection. Your own SQL goes through [`conn`](Self::conn), or to the transaction itself once the
/// guest is no longer used.
///
/// # Errors of the database
///
/// An error of the database aborts your transaction, as any failed statement does on PostgreSQL: return it, or set a savepoint
/// before you emit. Where an event can't be moved at the commit (for example, the disk is full), *your commit* fails with the
/// database's error, whose context names `pavane_move_staged`, and nothing is committed. Other errors (an undeclared event, a
/// key that is too long) are found before anything is sent, and leave the transaction as it was.
///
/// # Order
///
/// Events get their sequence at the commit. Of two transactions that changed the same row, the one that commits first is
/// published first. `set constraints all immediate` gives up that order, because it moves events at that moment; they still
/// commit or roll back with the transaction. `prepare transaction` moves events as a commit does, and they are published after
/// `commit prepared`.
#[derive(Debug)]
pub struct Guest<'c, DB: Database> {
    pub(crate) conn: &'c mut DB::Connection,
    pub(crate) db: Db<DB>,
    pub(crate) cause: Cause,
    pub(crate) emissions: Emissions,
    /// The question that it answers.
    pub(crate) question: Option<RawEnvelope>,
}

impl<DB: Database> Db<DB> {
    /// Joins the transaction of a connection. It may emit what `emissions` declares.
    ///
    /// # Errors
    ///
    /// [`Error::NoTransaction`] when sqlx has begun none on this connection: the event would be committed apart from its state
    /// change. [`Error::NoGuest`] on SQLite. [`Error::OutboxFull`]. [`Error::StartUnknown`] when the saga's start
    /// [isn't known](Correlation::of).
    pub fn guest<'c>(
        &self,
        conn: &'c mut DB::Connection,
        correlation: Correlation,
        emissions: Emissions,
    ) -> Result<Guest<'c, DB>, Error> {
        question::check_begins(&emissions)?;
        self.check_guest(conn)?;
        let cause = correlation.resolve(self)?;
        Ok(Guest { conn, db: self.clone(), cause, emissions, question: None })
    }

    pub(crate) fn check_guest(&self, conn: &DB::Connection) -> Result<(), Error> {
        if self.dialect() != Dialect::Postgres {
            return Err(Error::NoGuest);
        }
        if DB::TransactionManager::get_transaction_depth(conn) == 0 {
            return Err(Error::NoTransaction);
        }
        self.check_room()
    }

    /// Wakes the relay, in this process or in the instance that publishes, after a commit that the framework did not make.
    pub fn nudge(&self) {
        self.announce_commit();
    }
}

impl<DB: Database> Guest<'_, DB> {
    /// The connection, for your own SQL.
    pub const fn conn(&mut self) -> &mut DB::Connection {
        self.conn
    }

    /// The saga that its events belong to.
    pub const fn saga(&self) -> SagaId {
        self.cause.saga
    }

    /// The question that it [answers](Db::answering_guest): the event that asked. `None` in any other transaction.
    pub const fn question(&self) -> Option<&RawEnvelope> {
        self.question.as_ref()
    }

    /// Emits an event: it is published once your transaction has committed, and only then.
    ///
    /// An event that asks a question is one to answer once your transaction has committed. Schedule what ends the wait in it, too:
    /// nothing checks that at your commit, and without it there can be no answer.
    ///
    /// # Errors
    ///
    /// When the event isn't declared, its key is too long, or it can't be written as JSON; [`Error::AskedTwice`]; at an entry point that
    /// is a step, [`Error::Barred`] and [`Error::StepTwice`]; and when the database fails.
    pub async fn emit<E: Event>(&mut self, event: &E) -> Result<(), Error> {
        draft::check_declared::<E>(&self.emissions, Emissions::allow_now, "emits")?;
        let event = self.envelope(event)?;
        if let Some(question) = NewQuestion::of(&event, &self.emissions)? {
            store::ask::<DB>(self.conn, &question).await?;
        }
        step::keep(&self.db, self.conn, &self.emissions, &event).await?;
        store::stage::<DB>(self.conn, &event, None).await?;
        self.answer_with(&event).await
    }

    /// Emits an event for each item of a list, as a [`Tx`](crate::Tx::emit_each) does. Of one event, a saga has one list: emit all of them at
    /// once.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit); [`Error::NoItems`] and [`Error::TooManyItems`].
    pub async fn emit_each<E: Event>(&mut self, events: impl IntoIterator<Item = E> + Send) -> Result<(), Error> {
        let events = draft::items(&self.db, &self.cause, &self.emissions, events)?;
        store::stage_all::<DB>(self.conn, &events).await?;
        let Some(first) = events.first() else { return Ok(()) };
        self.answer_with(first).await
    }

    /// Emits an event after a delay, counted from now: sets a timer. As with a [`Tx`](crate::Tx::emit_after), the saga's outcome
    /// cancels it.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit), and [`Error::TooLate`] when the saga's ledger and outcome may have been pruned by then.
    pub async fn emit_after<E: Event>(&mut self, delay: Duration, event: &E) -> Result<(), Error> {
        draft::check_declared::<E>(&self.emissions, Emissions::allow_later, "schedules")?;
        let timer = (EventRef::of::<E>(), delay);
        self.db.check_delay(self.conn, &self.cause, timer).await?;
        let event = self.envelope(event)?;
        store::stage::<DB>(self.conn, &event, Some(micros(delay))).await
    }

    /// Cancels this saga's timers for an event, with your transaction. `true` if there was one; `false` if there was none, or it was
    /// [moved to the outbox](crate::Tx::cancel) already.
    ///
    /// # Errors
    ///
    /// [`Error::NeverScheduled`] when nothing of the service schedules the event; and when the database fails. In a transaction that
    /// is repeatable read or serializable, a timer that was moved meanwhile is a serialization failure (40001).
    pub async fn cancel<E: Event>(&mut self) -> Result<bool, Error> {
        draft::check_cancels::<E>(&self.emissions)?;
        store::cancel::<DB>(self.conn, self.cause.saga, E::NAME).await
    }

    /// Makes an event the saga's outcome, if it has none yet: the first one committed wins, for ever. Of two transactions that
    /// decide at once, the second waits here until the first has ended. The one that wins cancels the service's timers, as a
    /// [`Tx`](crate::Tx::decide) does.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit), and when the saga is older than outcomes are kept. In a transaction that is repeatable read or
    /// serializable, to lose is a serialization failure (40001): roll back and try again.
    pub async fn decide<E: Event>(&mut self, event: &E) -> Result<Decision, Error> {
        draft::check_declared::<E>(&self.emissions, Emissions::allow_outcome, "decides")?;
        self.db.check_remembered(self.conn, &self.cause).await?;
        let event = self.envelope(event)?;
        if !store::decide::<DB>(self.conn, &event, self.emissions.cancelled_by_outcome()).await? {
            return Ok(Decision::Lost);
        }
        step::keep(&self.db, self.conn, &self.emissions, &event).await?;
        self.answer_with(&event).await?;
        Ok(Decision::Won)
    }

    async fn answer_with(&mut self, event: &RawEnvelope) -> Result<(), Error> {
        let Some(question) = &self.question else { return Ok(()) };
        question::store::answer_with(&self.db, self.conn, event, question).await
    }

    fn envelope<E: Event>(&self, event: &E) -> Result<RawEnvelope, Error> {
        draft::envelope(&self.db, &self.cause, event)
    }
}
