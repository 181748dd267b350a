//! How an event *travels*: publishing, subscribing and the topology they need.
//!
//! One trait has two implementations: [`JetStream`], and [`Memory`] for tests, with faults. Both pass the same conformance suite
//! (feature `conformance`). This is the only crate that names `async_nats`.

mod bus;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod dead_letter;
mod delivery;
mod drift;
pub mod jetstream;
pub mod memory;
mod message;
pub mod metric;
pub mod topology;
mod wake;

pub use bus::{Bus, ConsumerPosition, Error, Health, PublishError, Receipt, StreamState, Subscription};
pub use delivery::{Delivery, Settle};
pub use jetstream::JetStream;
pub use memory::Memory;
pub use message::{Message, Outgoing};
pub use topology::{ConsumerConfig, Topology};
pub use wake::Wakes;
