#![doc = include_str!("../../../README.md")]

mod app;
mod config;
mod edge;
mod janitor;
#[cfg(feature = "ops")]
mod metric;
#[cfg(feature = "ops")]
pub mod ops;
mod patience;
mod pressure;
mod readiness;
mod service;
mod supervisor;
mod unread;

pub use app::{App, shutdown_signal};
pub use config::Config;
pub use edge::{Declared, Edge};
pub use pavane_bus as bus;
pub use pavane_choreography as choreography;
pub use pavane_contract as contract;
pub use pavane_contract::{Envelope, Event, Key};
pub use pavane_inbox as inbox;
pub use pavane_inbox::{Call, Handled, HandlerError, IdempotencyKey, on, on_effect, undo, undo_effect};
pub use pavane_outbox as outbox;
pub use pavane_outbox::{Correlation, Tx, Verdict};
pub use readiness::Readiness;
pub use service::{Error, Service};
pub use sqlx;
