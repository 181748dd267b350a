#![doc = include_str!("../README.md")]

#[cfg(feature = "any")]
pub mod any;
mod app;
mod config;
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
mod supervisor;
mod unread;

pub use app::shutdown_signal;
pub use config::Config;
pub use entry::{Declared, EntryPoint};
pub use pavane_bus as bus;
pub use pavane_choreography as choreography;
pub use pavane_contract as contract;
pub use pavane_contract::{Envelope, Key, event::Event};
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
pub use pavane_inbox as inbox;
pub use pavane_inbox::{Handled, HandlerError, IdempotencyKey, on, on_effect, undo, undo_effect};
pub use pavane_outbox as outbox;
pub use pavane_outbox::{Correlation, Decision};
pub use service::Error;
pub use sqlx;
