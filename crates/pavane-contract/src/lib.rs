//! What an event *is*: its contract, its envelope, its encoding and its subject.
//!
//! This crate does no I/O. Everything that touches a wire is an explicit string here, in one place, so that it can be
//! snapshot-tested and never changes by accident.

mod clock;
pub mod codec;
mod envelope;
mod event;
pub mod golden;
mod id;
mod key;
pub mod personal;
pub mod schema;
pub mod subject;

pub use clock::{Clock, SystemClock};
pub use envelope::{Cause, Envelope, Meta, RawEnvelope, TraceContext};
pub use event::{Event, EventRef, EventSet};
pub use id::{EventId, SagaId};
pub use jiff::Timestamp;
pub use key::Key;
