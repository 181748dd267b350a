use pavane_choreography::Emission;
use pavane_contract::{EventSet, personal::EventFields};
use pavane_outbox::{Correlation, Database, Db, Emissions, Error, Guest, Tx};

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
    /// start [isn't known](Correlation::of).
    pub async fn begin(&self, correlation: Correlation) -> Result<Tx<DB>, Error> {
        self.db.check_room()?;
        self.db.begin(correlation, self.emissions.clone()).await
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
        self.db.join(conn, correlation, self.emissions.clone())
    }

    /// Wakes the relay, in this process or in the instance that publishes, after a commit that the framework did not make: your
    /// own, or that of a program that emits from SQL. Optional: without it the relay finds the events when it polls.
    pub fn nudge(&self) {
        self.db.nudge();
    }
}

/// The events that an entry point declares.
#[derive(Debug, Default)]
#[must_use = "return it from the closure"]
pub struct Declared {
    pub(crate) emits: Vec<Emission>,
    pub(crate) fields: Vec<EventFields>,
}

impl Declared {
    /// Each transaction emits all of these events.
    pub fn emits<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::All(Set::refs()));
        self.fields.extend(Set::fields());
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
