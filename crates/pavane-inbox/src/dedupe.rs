//! Dedupe for effects outside the local database, where the other side has no idempotency keys.
//!
//! Claim, work, confirm: the claim says that somebody is at it, the confirmation that it is done. A claim that isn't
//! confirmed expires, so a crash in between leaves the effect to be done again: *at least once*, with a window as short as
//! the time between effect and confirmation. Where the effect is a row of the local database, the inbox does better, and
//! where the provider knows idempotency keys, [`on_effect`](crate::on_effect) does.

mod bucket;
#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
mod sql;
mod store;

use std::{future::Future, time::Duration};

use pavane_contract::{Clock, EventId};

pub use bucket::BucketStore;
pub use memory::MemoryStore;
pub use sql::SqlStore;

/// Remembers what was done, by key. Every implementation passes the conformance suite (feature `conformance`).
pub trait DedupeStore: Send + Sync + 'static {
    /// Claims a key for at most `lease`.
    ///
    /// # Errors
    ///
    /// When the store can't be reached.
    fn claim(&self, key: &str, lease: Duration) -> impl Future<Output = Result<Claim, Error>> + Send;

    /// Remembers that the work is done.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] when the lease ran out and somebody else claimed the key since.
    fn confirm(&self, held: Held) -> impl Future<Output = Result<(), Error>> + Send;

    /// Gives the key back, because the work failed.
    ///
    /// # Errors
    ///
    /// When the store can't be reached. The claim then expires by itself.
    fn release(&self, held: Held) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The answer to a claim.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Claim {
    /// It is yours: do the work, then confirm.
    Held(Held),
    /// It is done.
    Done,
    /// Somebody else is at it. Come again when their lease has run out.
    Busy,
}

/// A key that is claimed. Confirm or release it; dropped, it expires.
#[derive(Debug)]
#[must_use = "confirm it once the work is done, or release it"]
pub struct Held {
    key: String,
    /// Tells this claim from one that somebody else made after it expired.
    token: String,
}

impl Held {
    fn new(key: &str, clock: &dyn Clock) -> Self {
        Self { key: key.to_owned(), token: EventId::new(clock).to_string() }
    }

    /// What is claimed.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Why a dedupe store can't do what was asked. Each reads after "failed to …: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lease ran out, and somebody else claimed the key.
    #[error("the claim on {0:?} expired and was taken over")]
    Lost(String),
    /// The store is full of claims that are still held.
    #[error("the store holds {0} unexpired claims, its limit")]
    Full(usize),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] pavane_outbox::Error),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] pavane_bus::Error),
    /// A stored claim can't be read.
    #[error("the stored claim on {key:?} can't be read: {cause}")]
    Corrupt {
        /// The key.
        key: String,
        /// Why.
        cause: serde_json::Error,
    },
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// A later time in microseconds since the Unix epoch.
fn after(clock: &dyn Clock, wait: Duration) -> i64 {
    clock.now().as_microsecond().saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
}
