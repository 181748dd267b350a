//! The service on a bus in memory and on a real nats-server, with real databases.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contention;
mod http;
mod orders;
mod stage;
mod wiring;
