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

/// What an effect is given for its call: the idempotency key, the time that is left, and the service's database for reading.
pub struct Call<'a, DB: Database> {
    key: &'a IdempotencyKey,
    db: &'a Db<DB>,
    /// When the reaction's own time is up.
    ends: Instant,
    /// The client's error should come before that: so much of the time is kept for it.
    kept: Duration,
    /// Its key stands for something that was done.
    used: AtomicBool,
}

impl<'a, DB: Database> Call<'a, DB> {
    /// A call that begins now, of a reaction with this timeout.
    pub(crate) fn new(key: &'a IdempotencyKey, db: &'a Db<DB>, timeout: Duration) -> Self {
        Self { key, db, ends: Instant::now() + timeout, kept: timeout / 20, used: AtomicBool::new(false) }
    }

    /// Names the call. Every retry has the same key.
    pub const fn key(&self) -> &IdempotencyKey {
        self.key
    }

    /// How long the call may still take: give it to the client as its time-out.
    ///
    /// It is a twentieth shorter than what is left of the reaction's [`timeout`](crate::Tuning::timeout). So the client gives up
    /// first, and the effect can say what that means: [`unavailable`](crate::HandlerError::unavailable), which doesn't count as
    /// an attempt. When the reaction's own time is up, it does.
    pub fn time_left(&self) -> Duration {
        self.until_its_end().saturating_sub(self.kept)
    }

    /// A connection to the service's own database, for reading. What comes of the call is written by the record, in its
    /// transaction; what is written here is written again by each retry, and stays when the effect fails.
    ///
    /// Drop it before the call goes out: the pool has few, and a provider may be slow.
    ///
    /// # Errors
    ///
    /// When no connection is free in time, or the database doesn't answer.
    pub async fn db(&self) -> Result<Connection<DB>, Error> {
        self.db.reader().await
    }

    /// Makes the call once, where the provider has no idempotency keys: the answer is kept in the service's database, and a
    /// retry is given it instead of calling again. For a provider that has them this is a waste.
    ///
    /// It is *at least* once: after a crash between the call and the keeping of its answer, the call is made again. The page of
    /// [`dedupe`] says what that leaves open.
    ///
    /// It is for one thing in an effect: a second one would have the same key, and be given the answer of the first.
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

/// Names one call of an effect. Every retry of the call has the same key, so that the provider does it once.
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
