//! A service without a database: it sends mail, it calls a webhook, and has nothing else to remember.
//!
//! What it did it keeps in a [dedupe store](crate::dedupe). [`Subscriber`] says what it can't do.

pub use pavane_bus::{
    JetStream, Topology,
    jetstream::{Bucket, Config},
};
pub use pavane_inbox::{
    Subscriber,
    subscriber::{Deliver, Error},
};
