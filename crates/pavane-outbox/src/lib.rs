//! How an event *leaves* with its state change.
//!
//! A [`Tx`] is a local transaction that can also [`emit`](Tx::emit): the event becomes a row of the outbox, committed
//! with the business rows or not at all. The [`Relay`](relay::Relay) publishes committed rows. So no event is published for a
//! state that rolled back, and no state change goes unpublished. A [`Guest`] emits in a transaction that the user began and
//! commits, and the SQL function `pavane_emit` in a transaction of any program.
//!
//! See <https://microservices.io/patterns/data/transactional-outbox.html>.

mod after_commit;
mod bounds;
mod connection;
mod correlation;
mod crash_point;
mod database;
mod db;
mod deadline;
mod draft;
mod emissions;
mod entry;
mod error;
mod failure;
mod guest;
#[doc(hidden)]
pub mod internal;
pub mod metric;
pub mod migration;
mod pressure;
mod question;
mod reference;
mod refused;
pub mod relay;
mod step;
mod store;
mod timer;
pub mod trace;
mod transaction;
mod tx;

pub use bounds::Bounds;
pub use connection::Connection;
pub use correlation::Correlation;
pub(crate) use crash_point::{CrashPoint, CrashPoints};
pub use database::{Arg, Database, Dialect, Statement, Values};
pub use db::{Config, Db};
pub use emissions::Emissions;
pub use error::{Error, chain};
pub use failure::Failure;
pub use guest::Guest;
pub use question::OpenQuestion;
pub use refused::RefusedEvent;
pub use store::Backlog;
pub use tx::{Decision, Tx};
