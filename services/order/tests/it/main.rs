//! The order service as a whole: over HTTP, on SQLite and PostgreSQL, with the other services' events told by the tests.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod events;
mod faults;
mod http;
mod idempotency;
mod jetstream;
mod manifest;
mod orders;
mod says;
mod shutdown;
mod world;
