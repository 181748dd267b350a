use std::time::Duration;

use pavane_outbox::{Database, Db};

use super::{Claim, DedupeStore, Error, Held, store};

/// Remembers in the service's own database, so that it survives restarts and is shared by all instances.
#[derive(Debug)]
pub struct SqlStore<DB: Database> {
    db: Db<DB>,
    retention: Duration,
}

impl<DB: Database> SqlStore<DB> {
    /// Uses the table that [`INBOX`](crate::INBOX) makes. What is done is remembered for `retention`.
    pub const fn new(db: Db<DB>, retention: Duration) -> Self {
        Self { db, retention }
    }
}

impl<DB: Database> DedupeStore for SqlStore<DB> {
    async fn claim(&self, key: &str, lease: Duration) -> Result<Claim, Error> {
        let held = Held::new(key, self.db.clock());
        if store::take(&self.db, key, &held.token, micros(lease)).await? {
            return Ok(Claim::Held(held));
        }
        let mut conn = self.db.writer().await?;
        Ok(if store::is_done::<DB>(&mut conn, key).await? { Claim::Done } else { Claim::Busy })
    }

    async fn confirm(&self, held: Held) -> Result<(), Error> {
        if store::confirm(&self.db, &held.key, &held.token, micros(self.retention)).await? {
            Ok(())
        } else {
            Err(Error::Lost(held.key))
        }
    }

    async fn release(&self, held: Held) -> Result<(), Error> {
        let mut conn = self.db.writer().await?;
        Ok(store::release::<DB>(&mut conn, &held.key, &held.token).await?)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
