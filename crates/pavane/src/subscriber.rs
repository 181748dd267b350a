//! A service without a database: it sends mail or calls a webhook, and has no other state.
//!
//! It remembers what it did in a [dedupe store](crate::dedupe). [`Subscriber`] lists what it can't do.

pub use pavane_bus::{
    JetStream, Topology,
    jetstream::{Bucket, Config},
};
pub use pavane_inbox::{
    Subscriber,
    subscriber::{Deliver, Error},
};
