//! Effects once, where the other side has no idempotency keys: an SMS gateway, a webhook, a mail server.
//!
//! [`once`] claims a key, does the work, and stores the answer under the key. The next call under the same key gets that answer.
//! How reliable this is depends on the store:
//!
//! | store | survives | shared by all instances | remembers |
//! |---|---|---|---|
//! | [`SqlStore`], by [`Call::once`](crate::Call::once) | all but the loss of the database | yes | as long as the service remembers sagas |
//! | [`BucketStore`] | all but the loss of the bucket | yes | as long as the bucket's `max_age` |
//! | [`MemoryStore`] | nothing: a restart forgets | no | its last so many keys |
//!
//! **It is at least once, not exactly once.** A process that dies after the work and before its answer is stored leaves a claim
//! that expires, and then the work is done again. So it is when the answer was lost, or when the store fails at that moment. The
//! window is the time between the two. Where it must be closed, the other side needs idempotency keys, or a way to [look
//! up](crate::Reaction::look_up) what it did.
//!
//! Without this, an effect is repeated even when only its record fails: the handler has a bug, the database is away, a person
//! redrives the event. And two instances could call at once, when the broker takes one of them for dead.
//!
//! # Examples
//!
//! An effect of a service that has a database:
//!
//! ```
//! # use pavane_contract::Envelope;
//! # use pavane_inbox::{Call, HandlerError};
//! # struct Gateway;
//! # impl Gateway { async fn text(&self, _: &str) -> Result<String, std::io::Error> { Ok(String::new()) } }
//! # struct Parcel { phone: String }
//! async fn text(gateway: &Gateway, call: &Call<'_, sqlx::Postgres>, parcel: &Envelope<Parcel>) -> Result<String, HandlerError> {
//!     call.once(|| async { Ok(gateway.text(&parcel.phone).await?) }).await
//! }
//! ```

mod bucket;
#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
mod sql;
mod store;

use std::{future::Future, time::Duration};

use pavane_contract::{Clock, EventId};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

pub use bucket::BucketStore;
pub use memory::MemoryStore;
pub use sql::SqlStore;

use crate::handler::{HandlerError, Overdue};

/// Does work that wasn't done under this key before, or returns the answer of the time that it was.
///
/// The work may take as long as the `lease`. It is dropped when it takes longer, because then another instance may claim the
/// key. A failure is not stored, so the work can be tried again. An answer that the store can't take is returned all the same; a
/// second call then does the work again.
///
/// # Errors
///
/// Those of `work`. When another instance holds the claim: in a reaction, the event is then delivered again until that lease
/// ends, and this counts neither as an attempt nor as an outage. When the store fails: the work isn't done then.
pub async fn once<T, F>(
    store: &impl DedupeStore,
    key: &str,
    lease: Duration,
    work: impl FnOnce() -> F,
) -> Result<T, HandlerError>
where
    T: Serialize + DeserializeOwned + Send,
    F: Future<Output = Result<T, HandlerError>>,
{
    // Taken before the claim: the claim must not expire while the work still runs.
    let until = Instant::now() + lease;
    let held = match store.claim(key, lease).await? {
        Claim::Held(held) => held,
        Claim::Done(answer) => {
            let answer = serde_json::from_str(&answer);
            return answer.map_err(|cause| Error::Answer { key: key.to_owned(), cause }.into());
        }
        Claim::Busy { left } => return Err(Error::Busy { key: key.to_owned(), left }.into()),
    };
    match timeout_at(until, work()).await {
        Ok(Ok(answer)) => {
            if let Err(error) = remember(store, held, &answer).await {
                let error = HandlerError::from(error);
                warn!(key, %error, "the answer can't be stored; a repetition does the work again");
            }
            Ok(answer)
        }
        Ok(Err(failure)) => {
            if let Err(error) = store.release(held).await {
                let error = HandlerError::from(error);
                debug!(key, %error, "a claim can't be released; it expires");
            }
            Err(failure)
        }
        Err(_) => Err(HandlerError::transient(Overdue(lease))),
    }
}

async fn remember(store: &impl DedupeStore, held: Held, answer: &impl Serialize) -> Result<(), Error> {
    let answer = serde_json::to_string(answer).map_err(|cause| Error::Answer { key: held.key.clone(), cause })?;
    store.confirm(held, answer).await
}

/// Remembers what was done, by key. Every implementation passes the conformance suite (feature `conformance`).
pub trait DedupeStore: Send + Sync + 'static {
    /// Claims a key for at most `lease`.
    ///
    /// # Errors
    ///
    /// When the store can't be reached.
    fn claim(&self, key: &str, lease: Duration) -> impl Future<Output = Result<Claim, Error>> + Send;

    /// Stores that the work is done, and its answer as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] when the lease ended and the key was claimed again since.
    fn confirm(&self, held: Held, answer: String) -> impl Future<Output = Result<(), Error>> + Send;

    /// Releases the key, because the work failed.
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
    /// The key is claimed: do the work, then confirm.
    Held(Held),
    /// The work is done, with this answer.
    Done(String),
    /// Another claim on the key is held.
    Busy {
        /// How long its lease lasts.
        left: Duration,
    },
}

/// A claimed key. Confirm or release it; when dropped, it expires.
#[derive(Debug)]
#[must_use = "confirm it once the work is done, or release it"]
pub struct Held {
    key: String,
    /// Tells this claim from a later one, made after this expired.
    token: String,
}

impl Held {
    fn new(key: &str, clock: &dyn Clock) -> Self {
        Self { key: key.to_owned(), token: EventId::new(clock).to_string() }
    }

    /// The claimed key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Why a dedupe store failed. Each reads after "failed to …: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another claim on the key is held.
    #[error("the key {key:?} is claimed for another {left:?}")]
    Busy {
        /// The key.
        key: String,
        /// How long its lease lasts.
        left: Duration,
    },
    /// The lease ended, and the key was claimed again.
    #[error("the claim on {0:?} expired and was taken over")]
    Lost(String),
    /// The store is full of claims that are still held.
    #[error("the store holds {0} unexpired claims, its limit")]
    Full(usize),
    /// The database failed.
    #[error("the claims can't be read or written in the database")]
    Database(#[from] pavane_outbox::Error),
    /// The bus failed.
    #[error("the claims can't be read or written in the bucket")]
    Bus(#[from] pavane_bus::Error),
    /// A stored claim can't be read.
    #[error("the stored claim on {key:?} can't be read")]
    Claim {
        /// The key.
        key: String,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// The work is done, but its answer can't be stored, or the stored one is of another type.
    #[error("the answer to what was done under the key {key:?} can't be read or written as JSON")]
    Answer {
        /// The key.
        key: String,
        /// Why.
        #[source]
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

/// How long until a time in microseconds since the Unix epoch.
fn until(clock: &dyn Clock, time: i64) -> Duration {
    micros(time.saturating_sub(clock.now().as_microsecond()))
}

fn micros(left: i64) -> Duration {
    Duration::from_micros(u64::try_from(left).unwrap_or_default())
}
