use std::{
    fmt,
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use pavane_outbox::{Connection, Database, Db, Error};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use crate::{
    HandlerError,
    dedupe::{self, SqlStore},
};

/// What an effect's call gets: the idempotency key, the time that is left, and the service's database for reading.
pub struct Call<'a, DB: Database> {
    key: &'a IdempotencyKey,
    db: &'a Db<DB>,
    /// When the reaction's timeout ends.
    ends: Instant,
    /// The part of the timeout that the client doesn't get, so that its error comes first.
    kept: Duration,
    /// Whether `once` was called.
    used: AtomicBool,
}

impl<'a, DB: Database> Call<'a, DB> {
    /// A call that begins now, of a reaction with this timeout.
    pub(crate) fn new(key: &'a IdempotencyKey, db: &'a Db<DB>, timeout: Duration) -> Self {
        Self { key, db, ends: Instant::now() + timeout, kept: timeout / 20, used: AtomicBool::new(false) }
    }

    /// The idempotency key of the call. Every retry has the same.
    pub const fn key(&self) -> &IdempotencyKey {
        self.key
    }

    /// How long the call may still take: use it as the client's time-out.
    ///
    /// It is a twentieth of the [`timeout`](crate::Tuning::timeout) less than what is left of it. So the client fails first, and
    /// the effect can return [`unavailable`](crate::HandlerError::unavailable), which doesn't count as an attempt. When the
    /// reaction's own timeout ends, that counts.
    pub fn time_left(&self) -> Duration {
        self.until_its_end().saturating_sub(self.kept)
    }

    /// A connection to the service's own database, for reading. The record writes what follows from the answer, in its
    /// transaction; a write here is repeated by each retry, and stays when the effect fails.
    ///
    /// Drop it before the call: the pool has few connections, and a provider may be slow.
    ///
    /// # Errors
    ///
    /// When no connection is free in time, or the database doesn't answer.
    pub async fn db(&self) -> Result<Connection<DB>, Error> {
        self.db.reader().await
    }

    /// Makes the call once, for a provider without idempotency keys: the answer is kept in the service's database, and a retry
    /// gets it instead of calling again. A provider with keys doesn't need this.
    ///
    /// It is *at least* once: after a crash between the call and storing its answer, the call is made again. [`dedupe`] says
    /// what else remains.
    ///
    /// Call it once in an effect: a second use would have the same key, and get the answer of the first.
    ///
    /// # Errors
    ///
    /// As [`dedupe::once`], and when it is used for a second time.
    pub async fn once<T, F>(&self, work: impl FnOnce() -> F) -> Result<T, HandlerError>
    where
        T: Serialize + DeserializeOwned + Send,
        F: Future<Output = Result<T, HandlerError>>,
    {
        if self.used.swap(true, Ordering::Relaxed) {
            return Err(HandlerError::transient(
                "an effect uses call.once(…) twice: do all of it in one, or make it two reactions",
            ));
        }
        let store = SqlStore::new(self.db.clone(), self.db.bounds().memory);
        dedupe::once(&store, self.key.as_str(), self.until_its_end(), work).await
    }

    fn until_its_end(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}

impl<DB: Database> fmt::Debug for Call<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("key", &self.key.as_str()).finish_non_exhaustive()
    }
}

/// The idempotency key of one call of an effect. Every retry has the same key, so the provider carries the call out once.
///
/// See <https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub(crate) fn new(durable: &str, event: impl fmt::Display) -> Self {
        Self(format!("{durable}-{event}"))
    }

    /// The key as text: printable ASCII, at most 255 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
