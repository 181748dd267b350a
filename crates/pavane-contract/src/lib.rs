//! What an event *is*: its contract, its envelope, its encoding and its subject.
//!
//! This crate does no I/O. Everything that is wire format is an explicit string here, in one place, so that it can be
//! snapshot-tested and never changes by accident.

mod clock;
pub mod codec;
mod envelope;
/// For `pavane`, which exports the trait beside a derive of its own. At the root, the name stands for the derive of this crate, too.
#[doc(hidden)]
pub mod event;
pub mod golden;
mod id;
mod key;
pub mod personal;
pub mod schema;
pub mod subject;

// The derive names this crate as its users do.
#[cfg(test)]
extern crate self as pavane_contract;

pub use clock::{Clock, SystemClock};
pub use envelope::{Cause, Envelope, Item, Meta, RawEnvelope, TraceContext};
pub use event::{Event, EventRef, EventSet};
pub use id::{EventId, SagaId};
pub use jiff::Timestamp;
pub use key::Key;
/// Declares an event: its name, its version and its key.
///
/// ```
/// use pavane_contract::Event;
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
/// #[event(name = "payment.authorized", version = 2, key = order_id)]
/// struct PaymentAuthorized {
///     order_id: String,
///     cents: u64,
/// }
///
/// assert_eq!((PaymentAuthorized::NAME, PaymentAuthorized::VERSION), ("payment.authorized", 2));
/// let event = PaymentAuthorized { order_id: "order 7".into(), cents: 300 };
/// assert_eq!(event.key(), "order 7".into());
/// ```
pub use pavane_contract_derive::Event;
