use pavane_contract::{Cause, Envelope, EventId, SagaId, Timestamp, TraceContext};

use crate::{Database, Db, Error, bounds::started};

/// Where a transaction at the entry point stands: it starts a saga, or goes on with one.
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

    /// Goes on with a saga, from outside: a customer cancels, a person decides.
    ///
    /// The saga's id tells when it started. An id that is no UUID of version 7 doesn't, and beginning fails: whether the saga is
    /// still remembered can't be known then. Say it with [`started_at`](Self::started_at).
    pub const fn of(saga: SagaId) -> Self {
        Self { saga: Some(saga), started: None, event: None, trace: None }
    }

    /// Says when the saga started, where its id doesn't tell: now, for one that starts here under an id of your own.
    #[must_use]
    pub const fn started_at(mut self, at: Timestamp) -> Self {
        self.started = Some(at);
        self
    }

    /// Goes on with what an event started.
    pub fn caused_by<E>(event: &Envelope<E>) -> Self {
        let Cause { saga, started, event, trace } = event.as_cause();
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
        Ok(Cause { saga, started, event: self.event, trace: self.trace })
    }
}
