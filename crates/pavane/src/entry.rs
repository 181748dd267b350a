use pavane_choreography::{Emission, Question};
use pavane_contract::{EventRef, EventSet, SagaId, event::Event, personal::EventFields};
use pavane_outbox::{Correlation, Database, Db, Emissions, Error, Guest, OpenQuestion, Tx};

/// The name of an entry point: a constant of the service, used in its wiring table and where its requests are served.
///
/// # Examples
///
/// ```no_run
/// # use pavane::{Correlation, Declared, EntryPoint, Event, any::{App, Service}, database::Error};
/// const PLACE: EntryPoint = EntryPoint::new("place-order");
///
/// fn service<E: Event>() -> Service<()> {
///     Service::new("order", ()).entry(&PLACE, Declared::emits::<E>)
/// }
///
/// async fn place<E: Event>(app: &App<()>, placed: &E) -> Result<(), Error> {
///     let place = app.entry(&PLACE);
///     let mut tx = place.begin(Correlation::start()).await?;
///     tx.emit(placed).await?;
///     tx.commit().await
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryPoint(&'static str);

impl EntryPoint {
    /// Names an entry point. The name is part of the manifest, and of each document that is [emitted from
    /// SQL](crate::database::Guest).
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.0
    }
}

/// A place where events enter from outside. Cheap to clone: pass it to your request handlers.
#[derive(Debug)]
pub struct Entry<DB: Database> {
    db: Db<DB>,
    emissions: Emissions,
}

impl<DB: Database> Clone for Entry<DB> {
    fn clone(&self) -> Self {
        Self { db: self.db.clone(), emissions: self.emissions.clone() }
    }
}

impl<DB: Database> Entry<DB> {
    pub(crate) const fn new(db: Db<DB>, emissions: Emissions) -> Self {
        Self { db, emissions }
    }

    /// Begins a local transaction that may emit what the entry point declares.
    ///
    /// # Errors
    ///
    /// When no connection is free in time, the database doesn't answer, the [outbox is full](Error::OutboxFull), or the saga's
    /// start [isn't known](Correlation::of); [`Error::Answers`] at an entry point that [answers](Self::answer) a question.
    pub async fn begin(&self, correlation: Correlation) -> Result<Tx<DB>, Error> {
        self.db.check_room()?;
        self.db.begin(correlation, self.emissions.clone()).await
    }

    /// Begins the local transaction that answers a saga's question. `by` names the person, and is kept with the question.
    ///
    /// What the transaction emits continues the question's saga. With its commit the question is answered and its timer cancelled; if
    /// it rolls back, the question stays open. Of two answers at once, the second waits until the first has ended.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin); and by what became of the question:
    ///
    /// | error | the question |
    /// |---|---|
    /// | [`NotAsked`](Error::NotAsked) | was not asked in this saga, or not yet |
    /// | [`Answered`](Error::Answered) | was answered: by whom, when, with what |
    /// | [`Expired`](Error::Expired) | was open for too long |
    /// | [`Decided`](Error::Decided) | was closed by the saga's outcome |
    /// | [`Forgotten`](Error::Forgotten) | is of a saga that is older than it is remembered |
    ///
    /// The commit fails with [`Unanswered`](Error::Unanswered) where the transaction doesn't emit what the entry point declares.
    ///
    /// # Examples
    ///
    /// ```
    /// # use pavane::{Event, SagaId, database::Error, postgres::Entry};
    /// async fn approve<E: Event>(approve: &Entry, trip: SagaId, clerk: &str, approved: &E) -> Result<(), Error> {
    ///     let mut tx = approve.answer(trip, clerk).await?;
    ///     tx.emit(approved).await?;
    ///     tx.commit().await
    /// }
    /// ```
    pub async fn answer(&self, saga: SagaId, by: &str) -> Result<Tx<DB>, Error> {
        self.db.check_room()?;
        self.db.answer(saga, by, self.emissions.clone()).await
    }

    /// As [`answer`](Self::answer), in a transaction that you began and that you commit: [`within`](Self::within). Nothing checks at your
    /// commit that the answer was emitted.
    ///
    /// # Errors
    ///
    /// As [`answer`](Self::answer) and [`within`](Self::within).
    pub async fn answer_within<'c>(
        &self,
        conn: &'c mut DB::Connection,
        saga: SagaId,
        by: &str,
    ) -> Result<Guest<'c, DB>, Error> {
        self.db.answering_guest(conn, (saga, by), self.emissions.clone()).await
    }

    /// The questions that may be answered here, the oldest first, `limit` at most.
    ///
    /// # Errors
    ///
    /// [`Error::AnswersNothing`] at an entry point that answers no question; and when the database fails.
    pub async fn open_questions(&self, limit: u32) -> Result<Vec<OpenQuestion>, Error> {
        self.db.open_questions(&self.emissions, limit).await
    }

    /// Joins a transaction that you began and that you commit. What is emitted in it is published after your commit; there is no
    /// other call to make. PostgreSQL only. See [`Guest`].
    ///
    /// Your commit does not wake the relay, so an event waits until the relay polls, at most `relay.poll_max`. Where that is too
    /// long, call [`nudge`](Self::nudge) after the commit.
    ///
    /// # Errors
    ///
    /// When sqlx has begun no transaction on this connection, on SQLite, when the [outbox is full](Error::OutboxFull), or when
    /// the saga's start [isn't known](Correlation::of).
    ///
    /// # Examples
    ///
    /// ```
    /// # use pavane::{Correlation, Event, database::Error, postgres::Entry};
    /// # use sqlx::PgPool;
    /// async fn pay<E: Event>(pay: &Entry, pool: &PgPool, paid: &E) -> Result<(), Error> {
    ///     let mut tx = pool.begin().await?;
    ///     sqlx::query("update invoice set paid = true").execute(&mut *tx).await?;
    ///     pay.within(&mut tx, Correlation::start())?.emit(paid).await?;
    ///     tx.commit().await?;
    ///     pay.nudge();
    ///     Ok(())
    /// }
    /// ```
    pub fn within<'c>(&self, conn: &'c mut DB::Connection, correlation: Correlation) -> Result<Guest<'c, DB>, Error> {
        self.db.guest(conn, correlation, self.emissions.clone())
    }

    /// Wakes the relay, in this process or in the instance that publishes, after a commit that the framework did not make: your
    /// own, or that of a program that emits from SQL. Optional: without it the relay finds the events when it polls.
    pub fn nudge(&self) {
        self.db.nudge();
    }
}

/// What an entry point declares: its events, and the question that it `ANSWERS`.
#[derive(Debug, Default)]
#[must_use = "return it from the closure"]
pub struct Declared<const ANSWERS: bool = false> {
    pub(crate) emits: Vec<Emission>,
    pub(crate) fields: Vec<EventFields>,
    pub(crate) answers: Option<Question>,
}

impl Declared<false> {
    /// Each transaction answers the question that this event asks. It is answered once, after the service has emitted the event, and
    /// until it [expires](Declared::expires_with) or the saga has its outcome.
    ///
    /// Transactions begin with [`answer`](Entry::answer) then. The event must be one that the service itself emits, and no other entry
    /// point may answer it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use pavane::{EntryPoint, Event, any::Service};
    /// # const APPROVE: EntryPoint = EntryPoint::new("approve");
    /// # fn service<Asked: Event, Expired: Event, Approved: Event>() -> Service<()> {
    /// # Service::new("trip", ())
    /// .entry(&APPROVE, |entry| entry.answers::<Asked>().expires_with::<Expired>().emits::<Approved>())
    /// # }
    /// ```
    ///
    /// What answers nothing does not expire:
    ///
    /// ```compile_fail
    /// # use pavane::{EntryPoint, Event, any::Service};
    /// # const APPROVE: EntryPoint = EntryPoint::new("approve");
    /// # fn service<Asked: Event, Expired: Event, Approved: Event>() -> Service<()> {
    /// # Service::new("trip", ())
    /// .entry(&APPROVE, |entry| entry.expires_with::<Expired>().emits::<Approved>())
    /// # }
    /// ```
    pub fn answers<E: Event>(self) -> Declared<true> {
        let Self { emits, fields, .. } = self;
        Declared { emits, fields, answers: Some(Question { asks: EventRef::of::<E>(), expires_with: None }) }
    }
}

impl Declared<true> {
    /// The question can't be answered any more when this event has come due. Schedule it in the transaction that asks. An answer cancels
    /// it.
    pub fn expires_with<E: Event>(mut self) -> Self {
        self.answers = self.answers.map(|question| Question { expires_with: Some(EventRef::of::<E>()), ..question });
        self
    }
}

impl<const ANSWERS: bool> Declared<ANSWERS> {
    /// Each transaction emits all of these events.
    pub fn emits<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::All(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// Each transaction emits exactly one of these events.
    pub fn emits_one_of<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::OneOf(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// Each transaction [emits](crate::database::Tx::emit_each) this event for each item of a list. The list must not be empty, unless
    /// [`or_if_none`](Self::or_if_none) says what is emitted then.
    pub fn emits_each<E: Event>(mut self) -> Self {
        self.emits.push(Emission::Each(E::refs()));
        self.fields.push(EventFields::of::<E>());
        self
    }

    /// What is emitted where the list of the [`emits_each`](Self::emits_each) before it is empty.
    pub fn or_if_none<E: Event>(mut self) -> Self {
        Emission::or_if_none(&mut self.emits, EventRef::of::<E>());
        self.fields.push(EventFields::of::<E>());
        self
    }

    /// A transaction may emit any of these events, or none.
    pub fn may_emit<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Maybe(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// A transaction may make one of these events the saga's outcome.
    pub fn decides<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Outcome(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// A transaction may schedule these events. The saga's outcome [cancels](crate::database::Tx::cancel) them, unless they
    /// [outlive](crate::database::Service::outlives_outcome) it.
    pub fn schedules<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Scheduled(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }
}
