use pavane_contract::{Cause, Envelope, EventId, SagaId, Timestamp, TraceContext};

use crate::{Database, Db, Error, bounds::started};

/// Whether a transaction at an entry point starts a saga or continues one.
#[derive(Debug, Clone)]
pub struct Correlation {
    saga: Option<SagaId>,
    started: Option<Timestamp>,
    event: Option<EventId>,
    trace: Option<TraceContext>,
}

impl Correlation {
    /// Starts a new saga.
    pub const fn start() -> Self {
        Self { saga: None, started: None, event: None, trace: None }
    }

    /// Continues a saga from outside: a customer cancels, a person decides.
    ///
    /// A saga's id of UUID version 7 says when the saga started. With any other id, beginning the transaction fails, because
    /// nobody can know whether the saga's ledger and outcome are still kept. Give the time with
    /// [`started_at`](Self::started_at).
    pub const fn of(saga: SagaId) -> Self {
        Self { saga: Some(saga), started: None, event: None, trace: None }
    }

    /// Sets when the saga started, for an id that doesn't say so: now, for a saga that starts here under an id of your own.
    #[must_use]
    pub const fn started_at(mut self, at: Timestamp) -> Self {
        self.started = Some(at);
        self
    }

    /// Continues the saga of an event.
    pub fn caused_by<E>(event: &Envelope<E>) -> Self {
        let Cause { saga, started, event, trace, item: _ } = event.as_cause();
        Self { saga: Some(saga), started: Some(started), event, trace }
    }

    /// Continues a trace, usually the request's.
    #[must_use]
    pub fn traced(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }

    pub(crate) fn resolve<DB: Database>(self, db: &Db<DB>) -> Result<Cause, Error> {
        let (saga, started) = match self.saga {
            Some(saga) => (saga, started(saga, self.started)?),
            None => (SagaId::new(db.clock()), self.started.unwrap_or_else(|| db.reference_now())),
        };
        Ok(Cause { saga, started, event: self.event, trace: self.trace, item: None })
    }
}
