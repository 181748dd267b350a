//! The provider over real HTTP: what each card does, what an idempotency key is good for, and what survives a crash.

mod cards;
mod client;
mod edge;
mod idempotency;
mod lifecycle;
mod process;
