use pavane_choreography::Emission;
use pavane_contract::{EventSet, personal::EventFields};
use pavane_outbox::{Correlation, Database, Db, Emissions, Error, Tx};

/// A place where events enter from outside. Cheap to clone: give it to your request handlers.
#[derive(Debug)]
pub struct Edge<DB: Database> {
    db: Db<DB>,
    emissions: Emissions,
}

impl<DB: Database> Clone for Edge<DB> {
    fn clone(&self) -> Self {
        Self { db: self.db.clone(), emissions: self.emissions.clone() }
    }
}

impl<DB: Database> Edge<DB> {
    pub(crate) const fn new(db: Db<DB>, emissions: Emissions) -> Self {
        Self { db, emissions }
    }

    /// Begins a local transaction that may emit what the edge declares.
    ///
    /// # Errors
    ///
    /// When no connection is free in time or the database doesn't answer, the [outbox is full](Error::OutboxFull), or when the
    /// saga started [isn't known](Correlation::of).
    pub async fn begin(&self, correlation: Correlation) -> Result<Tx<DB>, Error> {
        self.db.check_room()?;
        self.db.begin(correlation, self.emissions.clone()).await
    }
}

/// What an edge declares that it emits.
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

    /// One of these events as the saga's verdict, if it has none yet.
    pub fn decides<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Verdict(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// These events, later.
    pub fn schedules<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Scheduled(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }
}
