use pavane_choreography::Emission;
use pavane_contract::{EventSet, personal::EventFields};
use pavane_outbox::{Correlation, Database, Db, Emissions, Error, Guest, Tx};

/// Names an entry point: a constant of the service, for its wiring table and for whatever serves it.
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
    /// Names it. The name is part of the manifest, and of what those who [emit from SQL](crate::database::Guest) write.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.0
    }
}

/// A place where events enter from outside. Cheap to clone: give it to your request handlers.
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
    /// When no connection is free in time or the database doesn't answer, the [outbox is full](Error::OutboxFull), or when the
    /// saga started [isn't known](Correlation::of).
    pub async fn begin(&self, correlation: Correlation) -> Result<Tx<DB>, Error> {
        self.db.check_room()?;
        self.db.begin(correlation, self.emissions.clone()).await
    }

    /// Joins a transaction that you began, and that you commit: what is emitted there is published once you have committed it,
    /// and there is nothing to call at the end. PostgreSQL only. See [`Guest`].
    ///
    /// Your commit does not wake the relay: an event waits for its next look, at most `relay.poll_max`. [`nudge`](Self::nudge)
    /// after the commit where that is too long.
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

    /// Wakes the relay, in this process or in the instance that publishes, after a commit that went past the framework: one of
    /// your own, or of somebody who emits from SQL. Optional: without it the relay looks by itself.
    pub fn nudge(&self) {
        self.db.nudge();
    }
}

/// What an entry point declares that it emits.
#[derive(Debug, Default)]
#[must_use = "return it from the closure"]
pub struct Declared {
    pub(crate) emits: Vec<Emission>,
    pub(crate) fields: Vec<EventFields>,
}

impl Declared {
    /// All of these events, each time.
    pub fn emits<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::All(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// Any of these events, or none.
    pub fn may_emit<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Maybe(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// One of these events as the saga's outcome, if it has none yet.
    pub fn decides<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Outcome(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// These events, later. The saga's outcome [cancels](crate::database::Tx::cancel) them, unless they
    /// [outlive](crate::database::Service::outlives_outcome) it.
    pub fn schedules<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Scheduled(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }
}
