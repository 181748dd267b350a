//! The `pavane` command against a real nats-server: a recorded stream is replayed there, and the real binary is run.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;
mod connecting;
mod dead_letters;
mod doctor;
mod drawing;
mod failing;
mod items;
mod live;
mod migrations;
mod outbox;
mod questions;
mod resolving;
mod stage;
mod tracing;
