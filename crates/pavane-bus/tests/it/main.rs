//! Both buses against the conformance suite, and `JetStream` against failing servers.
#![expect(clippy::unwrap_used, reason = "a test ends where it can't go on")]

mod jetstream;
mod memory;
