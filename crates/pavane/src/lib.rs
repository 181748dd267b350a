#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! At the root is what needs no database. The rest is in modules:
//!
//! | module | has |
//! |---|---|
#![cfg_attr(
    feature = "postgres",
    doc = "| [`postgres`] | `Service`, `App`, `Entry`, `Tx`, `Guest`, `Call`, `Db` and `Readiness`, on PostgreSQL |"
)]
#![cfg_attr(feature = "sqlite", doc = "| [`sqlite`] | the same on a SQLite file |")]
#![cfg_attr(feature = "any", doc = "| [`any`] | the same on either |")]
//! | [`database`] | the same with the database as a parameter; what is common to all of them |
//! | [`contract`] | events beyond their declaration: causes, golden files, schemas, personal data |
//! | [`dedupe`] | stores that remember calls to a provider without idempotency keys |
//! | [`subscriber`] | a service without a database |
#![cfg_attr(feature = "ops", doc = "| [`ops`] | logs, traces, health, readiness and metrics over HTTP |")]
//!
//! Tools and tests that need more of the parts underneath use their crates: `pavane-bus`, `pavane-outbox`, `pavane-inbox`,
//! `pavane-choreography` and `pavane-contract`.

#[cfg(feature = "any")]
pub mod any;
mod app;
mod config;
pub mod contract;
pub mod database;
mod entry;
#[doc(hidden)]
pub mod internal;
mod maintenance;
#[cfg(feature = "ops")]
mod metric;
#[cfg(feature = "ops")]
pub mod ops;
mod patience;
#[cfg(feature = "postgres")]
pub mod postgres;
mod pressure;
mod readiness;
mod service;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod subscriber;
mod supervisor;
mod unread;

pub use app::shutdown_signal;
pub use config::Config;
pub use entry::{Declared, EntryPoint};
pub use pavane_bus::Bus;
pub use pavane_choreography::Saga;
pub use pavane_contract::{Envelope, Item, Key, SagaId, Timestamp, event::Event};
/// Declares an event: its name, its version and its key.
///
/// ```
/// use pavane::Event;
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
pub use pavane_contract_derive::PavaneEvent as Event;
pub use pavane_inbox::{
    All, Each, Every, Handled, HandlerError, IdempotencyKey, OneOf, Tuning, dedupe, on, on_effect, undo, undo_effect,
};
pub use pavane_outbox::{Correlation, Decision, OpenQuestion};
pub use service::Error;
