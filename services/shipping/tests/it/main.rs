//! The service on a bus in memory and on a real nats-server, with real databases.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod http;
mod manifest;
mod order;
mod orders;
