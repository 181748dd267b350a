//! Timers: events whose time has not come.

pub(crate) mod store;

use std::time::Duration;

use pavane_contract::{RawEnvelope, SagaId};

use crate::{Error, Values, db::micros, store::NewRow};

/// An event whose time has not come.
#[derive(Debug)]
pub(crate) struct NewTimer {
    row: NewRow,
    saga: SagaId,
    /// The event's name.
    event: String,
    /// Microseconds from now.
    due_in: i64,
}

impl NewTimer {
    pub(crate) fn of(envelope: &RawEnvelope, delay: Duration) -> Result<Self, Error> {
        let (saga, event) = (envelope.meta.cause.saga, envelope.meta.event.name.clone());
        Ok(Self { row: NewRow::of(envelope)?, saga, event, due_in: micros(delay) })
    }

    /// Whether it is a saga's, for one of these events.
    pub(crate) fn is_of(&self, saga: SagaId, events: &[impl AsRef<str>]) -> bool {
        self.saga == saga && events.iter().any(|event| event.as_ref() == self.event)
    }

    /// Timers by their columns: those of the [row](NewRow::columns), then saga, event and when it is due.
    fn columns(timers: &[Self]) -> Vec<Values> {
        let mut columns = NewRow::columns(timers.iter().map(|timer| &timer.row));
        columns.push(Values::Ids(timers.iter().map(|timer| timer.saga.as_uuid()).collect()));
        columns.push(Values::Texts(timers.iter().map(|timer| timer.event.clone()).collect()));
        columns.push(Values::Ints(timers.iter().map(|timer| timer.due_in).collect()));
        columns
    }
}
