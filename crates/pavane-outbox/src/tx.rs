use std::time::Duration;

use pavane_contract::{Cause, Envelope, Event, EventRef, Key, RawEnvelope, SagaId};

use crate::{
    CrashPoint, Database, Db, Emissions, Error,
    after_commit::AfterCommit,
    draft,
    question::{self, NewQuestion},
    step, store,
    timer::{NewTimer, store as timers},
    transaction::Transaction,
};

/// The result of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a lost decision emitted nothing; the caller must not act on it"]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Decision {
    /// The event is now the saga's outcome, and was emitted.
    Won,
    /// The saga had an outcome before; nothing was emitted.
    Lost,
}

/// A local transaction that may emit events: business rows and outbox rows commit together or not at all.
///
/// Owned, without a lifetime: it can be passed to any function and stored in any struct. Dropping it rolls back.
///
/// Emitted events are buffered and written as one statement just before the commit. They get their sequence while the
/// transaction holds the locks of the rows that it changed, so two transactions about the same row publish in the order in
/// which they commit.
#[derive(Debug)]
pub struct Tx<DB: Database> {
    inner: Transaction<DB>,
    db: Db<DB>,
    cause: Cause,
    emissions: Emissions,
    outbox: Vec<store::NewRow>,
    timers: Vec<NewTimer>,
    asked: Vec<NewQuestion>,
    /// The question that it answers.
    question: Option<RawEnvelope>,
    emitted: Vec<RawEnvelope>,
    wakes_relay: bool,
    after_commit: AfterCommit,
}

impl<DB: Database> Tx<DB> {
    pub(crate) async fn begin(db: Db<DB>, cause: Cause, emissions: Emissions) -> Result<Self, Error> {
        let inner = Transaction::begin(&db).await?;
        Ok(Self {
            inner,
            db,
            cause,
            emissions,
            outbox: Vec::new(),
            timers: Vec::new(),
            asked: Vec::new(),
            question: None,
            emitted: Vec::new(),
            wakes_relay: false,
            after_commit: AfterCommit::default(),
        })
    }

    /// The connection, for your own SQL.
    pub fn conn(&mut self) -> &mut DB::Connection {
        self.inner.conn()
    }

    /// The saga that this transaction belongs to.
    pub const fn saga(&self) -> SagaId {
        self.cause.saga
    }

    /// The cause of what it emits: the saga, the event before, the trace.
    pub const fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The question that it [answers](Db::answer): the event that asked. `None` in any other transaction.
    pub const fn question(&self) -> Option<&RawEnvelope> {
        self.question.as_ref()
    }

    /// The current time, by the service's clock.
    pub fn now(&self) -> pavane_contract::Timestamp {
        self.db.clock().now()
    }

    /// The database that it runs on.
    pub const fn db(&self) -> &Db<DB> {
        &self.db
    }

    /// Emits an event: it is published once this transaction has committed, and only then.
    ///
    /// # Errors
    ///
    /// When the event isn't declared, its key is too long, or it can't be written as JSON. At an entry point that is a step:
    /// [`Error::Barred`] and [`Error::StepTwice`], and when the database fails.
    pub async fn emit<E: Event>(&mut self, event: &E) -> Result<(), Error> {
        self.declared::<E>(Emissions::allow_now, "emits")?;
        self.leave(draft::envelope(&self.db, &self.cause, event)?).await
    }

    /// Emits an event for each item of a list. They are numbered in the order of the list, and each says how many there are; see
    /// [`Item`](pavane_contract::Item).
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit); [`Error::NoItems`] when the list is empty, [`Error::TooManyItems`] when it is longer than
    /// [`Item::MAX`](pavane_contract::Item::MAX), and [`Error::SecondList`] when this transaction has emitted a list of the event.
    pub async fn emit_each<E: Event>(&mut self, events: impl IntoIterator<Item = E> + Send) -> Result<(), Error> {
        draft::check_first_list::<E>(&self.emissions, &self.emitted)?;
        for event in draft::items(&self.db, &self.cause, &self.emissions, events)? {
            self.leave(event).await?;
        }
        Ok(())
    }

    /// Emits an event after a delay, counted from now: sets a timer.
    ///
    /// The [outcome](Self::decide) of the saga cancels it, unless the wiring table says that the event outlives the outcome;
    /// [`cancel`](Self::cancel) does so before.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit), and [`Error::TooLate`] when the saga's ledger and outcome may have been pruned by then.
    pub async fn emit_after<E: Event>(&mut self, delay: Duration, event: &E) -> Result<(), Error> {
        self.declared::<E>(Emissions::allow_later, "schedules")?;
        let timer = (EventRef::of::<E>(), delay);
        self.db.check_delay(self.inner.conn(), &self.cause, timer).await?;
        let envelope = draft::of_saga(&self.db, &self.cause, event)?;
        self.timers.push(NewTimer::of(&envelope, delay)?);
        self.flush_if_large().await
    }

    /// Cancels this saga's timers for an event, in any version, with this transaction. `true` if there was one.
    ///
    /// `false` if there was none, or its time had come and it was moved to the outbox: then the event is on its way, and what reacts
    /// to it has to see that it is no longer wanted.
    ///
    /// # Errors
    ///
    /// [`Error::NeverScheduled`] when nothing of the service schedules the event; and when the database fails.
    pub async fn cancel<E: Event>(&mut self) -> Result<bool, Error> {
        draft::check_cancels::<E>(&self.emissions)?;
        let unwritten = self.timers.len();
        self.timers.retain(|timer| !timer.is_of(self.cause.saga, &[E::NAME]));
        let cancelled = timers::cancel(&self.db, self.inner.conn(), self.cause.saga, &[E::NAME]).await?;
        Ok(self.timers.len() < unwritten || cancelled > 0)
    }

    /// Makes an event the saga's outcome, if it has none yet: the first one committed wins, for ever.
    ///
    /// The one that wins [cancels](Self::cancel) the timers that this service has set in the saga, but for those that the wiring
    /// table lets outlive the outcome. What is scheduled afterwards stays.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit), when the saga is older than outcomes are kept, and when the database fails.
    pub async fn decide<E: Event>(&mut self, event: &E) -> Result<Decision, Error> {
        self.declared::<E>(Emissions::allow_outcome, "decides")?;
        self.db.check_remembered(self.inner.conn(), &self.cause).await?;
        let (saga, timers) = (self.cause.saga, self.emissions.cancelled_by_outcome());
        if !store::decide(&self.db, self.inner.conn(), (saga, E::NAME), timers).await? {
            return Ok(Decision::Lost);
        }
        self.timers.retain(|timer| !timer.is_of(saga, timers));
        self.leave(draft::of_saga(&self.db, &self.cause, event)?).await?;
        Ok(Decision::Won)
    }

    /// Calls a function after this transaction has committed: to wake the requests that follow an order in this process, or to
    /// drop a cached value. Several functions are called in the order in which they were given.
    ///
    /// It is not called when the transaction rolls back or fails, nor when nobody knows whether it committed. A handler may
    /// share its transaction with those of other events: all their functions are called after the one commit. When the batch is
    /// rolled back and each event handled by itself, each function is called once.
    ///
    /// **It is not durable.** A process that dies between the commit and the call never makes it. What must happen is an
    /// [event](Self::emit). The function is called before the event is acked, so it must be short and must not block. A panic
    /// in it is logged, and has no other effect.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use pavane_outbox::Tx;
    /// # use tokio::sync::Notify;
    /// fn wake(tx: &mut Tx<sqlx::Postgres>, watchers: &Arc<Notify>) {
    ///     let watchers = Arc::clone(watchers);
    ///     tx.after_commit(move || watchers.notify_waiters());
    /// }
    /// ```
    pub fn after_commit(&mut self, call: impl FnOnce() + Send + 'static) {
        self.after_commit.push(call);
    }

    /// Commits the business rows and the emitted events together.
    ///
    /// # Errors
    ///
    /// [`Error::Aborted`] and [`Error::Ended`] when there is nothing left to commit; [`Error::AskedTwice`], [`Error::NeverExpires`] and
    /// [`Error::Unanswered`] where something is wrong with a question. When the database fails, nobody knows
    /// whether it committed; the inbox makes a retry safe.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.check_answer()?;
        // Writing events or questions proves that the transaction is alive. The last statement does it, or one of its own.
        let written = self.flush().await?;
        if !question::ask(&self.db, self.inner.conn(), &self.asked).await? && !written {
            self.inner.prove().await?;
        }
        self.db.crash_point(CrashPoint::BeforeCommit).await;
        self.inner.commit_proved().await?;
        self.db.crash_point(CrashPoint::AfterCommit).await;
        if self.wakes_relay {
            self.db.announce_commit();
        }
        self.after_commit.run();
        Ok(())
    }

    /// Rolls back. Dropping does the same, a little later.
    ///
    /// # Errors
    ///
    /// When the database fails; it rolls back by itself then.
    pub async fn rollback(self) -> Result<(), Error> {
        Ok(self.inner.rollback().await?)
    }

    pub(crate) async fn prove(&mut self) -> Result<(), Error> {
        self.inner.prove().await
    }

    pub(crate) fn enter(&mut self, cause: Cause, emissions: Emissions) {
        self.cause = cause;
        self.emissions = emissions;
        self.emitted.clear();
    }

    pub(crate) fn answer(&mut self, question: RawEnvelope) {
        self.cause = question.as_cause();
        self.question = Some(question);
    }

    pub(crate) fn emitted(&self) -> &[RawEnvelope] {
        &self.emitted
    }

    pub(crate) async fn emit_raw(&mut self, event: EventRef, key: Key, body: Vec<u8>) -> Result<(), Error> {
        let envelope = Envelope { meta: draft::meta(&self.db, &self.cause, event, key).into(), body: body.into() };
        self.leave(envelope).await
    }

    async fn leave(&mut self, envelope: RawEnvelope) -> Result<(), Error> {
        step::keep(&self.db, self.inner.conn(), &self.emissions, &envelope).await?;
        if let Some(question) = &self.question {
            question::store::answer_with(&self.db, self.inner.conn(), &envelope, question).await?;
        }
        self.push(envelope)?;
        self.flush_if_large().await
    }

    /// An answer that says nothing would close the question, and let the saga wait for ever.
    fn check_answer(&self) -> Result<(), Error> {
        if self.question.is_none() {
            return Ok(());
        }
        let emitted: Vec<_> = self.emitted.iter().map(|event| event.meta.event.clone()).collect();
        let unmet = self.emissions.unmet(&emitted);
        unmet.map_or(Ok(()), |what| Err(Error::Unanswered { who: self.emissions.who().to_owned(), what }))
    }

    fn push(&mut self, envelope: RawEnvelope) -> Result<(), Error> {
        if let Some(question) = NewQuestion::of(&envelope, &self.emissions)? {
            question.check_first(&self.asked)?;
            self.asked.push(question);
        }
        self.outbox.push(store::NewRow::of(&envelope)?);
        self.emitted.push(envelope);
        self.wakes_relay = true;
        Ok(())
    }

    fn declared<E: Event>(
        &self,
        allowed: impl Fn(&Emissions, &EventRef) -> bool,
        method: &'static str,
    ) -> Result<(), Error> {
        draft::check_declared::<E>(&self.emissions, allowed, method)
    }

    /// A handler that emits a million events must not fill the memory, nor make one statement of them.
    async fn flush_if_large(&mut self) -> Result<(), Error> {
        const ROWS: usize = 1000;
        if self.outbox.len() + self.timers.len() >= ROWS { self.flush().await.map(drop) } else { Ok(()) }
    }

    /// Writes what was emitted since the last flush. `false` when there was nothing.
    async fn flush(&mut self) -> Result<bool, Error> {
        let any = !self.outbox.is_empty() || !self.timers.is_empty();
        if !self.outbox.is_empty() {
            store::leave(&self.db, self.inner.conn(), &self.outbox).await?;
            self.outbox.clear();
        }
        if !self.timers.is_empty() {
            timers::schedule(&self.db, self.inner.conn(), &self.timers).await?;
            self.timers.clear();
        }
        Ok(any)
    }
}
