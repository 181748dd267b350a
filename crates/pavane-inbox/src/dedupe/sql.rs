use std::time::Duration;

use pavane_outbox::{Database, Db};

use super::{
    Claim, DedupeStore, Error, Held,
    store::{self, Known},
};

/// Remembers in a service's database, so it survives restarts and is shared by all instances. [`Call::once`](crate::Call::once)
/// is this store on the service's own database.
///
/// A service creates the table and deletes what has expired. Without a service, migrate the database with
/// [`INBOX`](crate::INBOX), and call [`forget`](crate::forget) now and then.
///
/// During an outage of the database the answer can't be stored. A [`BucketStore`](super::BucketStore) fails at other moments.
#[derive(Debug)]
pub struct SqlStore<DB: Database> {
    db: Db<DB>,
    retention: Duration,
}

impl<DB: Database> SqlStore<DB> {
    /// Uses the table that [`INBOX`](crate::INBOX) creates. What is done is remembered for `retention`.
    pub const fn new(db: Db<DB>, retention: Duration) -> Self {
        Self { db, retention }
    }
}

impl<DB: Database> DedupeStore for SqlStore<DB> {
    async fn claim(&self, key: &str, lease: Duration) -> Result<Claim, Error> {
        let held = Held::new(key, self.db.clock());
        let claim = async {
            if store::take(&self.db, key, &held.token, micros(lease)).await? {
                return Ok(Claim::Held(held));
            }
            Ok(match store::look(&self.db, key).await? {
                Some(Known::Done(answer)) => Claim::Done(answer),
                Some(Known::Held { left }) => Claim::Busy { left: super::micros(left) },
                // Released since.
                None => Claim::Busy { left: Duration::ZERO },
            })
        };
        self.db.within(claim).await
    }

    async fn confirm(&self, held: Held, answer: String) -> Result<(), Error> {
        let confirm = store::confirm(&self.db, (&held.key, &held.token), answer, micros(self.retention));
        if self.db.within(confirm).await? { Ok(()) } else { Err(Error::Lost(held.key)) }
    }

    async fn release(&self, held: Held) -> Result<(), Error> {
        Ok(self.db.within(store::release(&self.db, &held.key, &held.token)).await?)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
